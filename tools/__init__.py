"""Programs that make what ships with Tutelage; nothing at run time imports them."""
