"""One signed webhook to one address, safely, and when the next attempt is due. Nothing here reads or writes a row.

```
rules = read_rules(settings)                             what may be reached: `addresses`
parse_url(text, rules=rules)                             when an endpoint is made: raises UnsafeUrl, a sentence: `urls`
check_headers(headers)                                   as above, of headers that people give: raises UnsafeHeader
secret = make_secret()                                   `whsec_…`, 32 bytes; parse_secret raises BadSecret: `signing`

sender = Sender(rules, version=…)                        one for each process; `await sender.close()`: `sender`
answer = await sender.send(url=…, webhook_id="evt_…", timestamp=1_800_000_000, body=b"{…}",
                           secrets=("whsec_new", "whsec_old"), headers={})
answer.outcome                                           "delivered" (2xx), "gone" (410: disable it) or "retry"
answer.reason, .status, .retry_after, .seconds           why, a word of few; HTTP's status, if any; seconds

next_attempt(made, now=…, retry_after=answer.retry_after, random=…)   a datetime, or None after the last: `schedule`
```

`send` raises nothing but `BadSecret` and `UnsafeHeader`, which are faults of what is stored about an endpoint, and
takes at most `TIMEOUT_SECONDS`; it may be cancelled at any await. How many run at once is the caller's: nothing here
waits for a place, so that a receiver that hangs delays nobody.
"""
