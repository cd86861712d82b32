"""The stores behind the registry: what each promises, whatever it is made of."""
