"""The docs: pages, and the programs that write the generated parts of them."""
