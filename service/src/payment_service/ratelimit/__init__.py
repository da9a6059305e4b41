"""How much a caller, an address or a customer may ask for."""
