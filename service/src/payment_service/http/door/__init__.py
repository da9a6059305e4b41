"""What one client may hold of a process: time, bytes and connections, before any application code runs.

uvicorn ends idle connections (`timeout_keep_alive`), bounds how many requests run (`limit_concurrency`, a plain 503)
and, with h11 only, the size of a head (`h11_max_incomplete_event_size`). It has no time-out for a head, a body or an
answer that nobody reads, no least rate, and with httptools, which runs here, no size at all (Kludex/uvicorn#157).
Hypercorn's `read_timeout` restarts with any byte; Granian has a time-out for heads only. Neither bounds memory over all
connections, so the limits stand here, on uvicorn's protocol class:

- `limits`: the settings.
- `watch`: one look a second at every connection, instead of a timer for each; who must go when room is short.
- `head`: what is wrong with a head.
- `cycle`: one request and its answer: a body that fails reaches the application as an error of the service's own.
- `protocol`: one connection.
- `config`: uvicorn's configuration with a door.

Who causes a shortage bears it: when connections or bytes run out, those go that have been waited for longest: a body
that is not whole with a 408, a silent or idle connection by closing it. Only when nobody can be sent away a newcomer is
refused, with a 503 that is written here and not by the application, so that a crowd of slow clients never looks like
faults of a release (the operator judges by the application's 5xx).
"""
