def measure(shop):
    yield from ()
