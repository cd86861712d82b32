"""The stores behind the registry: what each promises, whatever it is made of.

``blobs``, ``journal`` and ``ledger`` are what a push and a pull need. ``collection``, ``trash``,
``quota`` and ``projection`` are further sides of a ledger, each for one kind of work. ``images`` is
the cloud's image service.
"""
