"""The ports in dicts: the model that every other adapter is compared with."""
