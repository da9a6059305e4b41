"""What every route stands on: the door, the outermost layer, access, parameters, bodies, pages, problems."""
