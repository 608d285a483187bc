def test_l(make_lane):
    lane = make_lane("pyairbyte-postgres")
    lane.load()
    [held] = lane.feed.held
    want = {r["id"]: r for r in held.rows}
    got = {int(r["id"]): r for r in lane.database.query(f"select * from {lane.table}")}
    bad = [(i, c, want[i][c], got[i].get(c)) for i in want for c in ("ym_client_id","yclid","gclid","ua_client_id","channel") if want[i][c] != got[i].get(c)]
    print(len(want), len(got), len(bad), bad[:5])
    print(lane.database.query("select column_name,data_type from information_schema.columns where table_name='visitor_sessions'"))
    assert 0
