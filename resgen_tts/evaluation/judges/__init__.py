"""What listens to waves and looks at pictures: one library or published model a file."""
