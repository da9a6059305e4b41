"""What is learned from pods between passes: bake looks, probes, and which commands the pods have taken."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import reduce
from typing import Final

from payment_operator import names
from payment_operator.backoff import wait_after
from payment_operator.clients.measures import call_webhook, query_prometheus
from payment_operator.clients.protocols import PodAdmin
from payment_operator.decide.placement import Placement, baking
from payment_operator.model.actions import PutToPod
from payment_operator.model.measures import Measure
from payment_operator.model.observed import Bake, ClusterState, PodSight, Probe, Revision
from payment_operator.model.pod import Pod
from payment_operator.model.samples import Sample, Unreadable, parse
from payment_operator.observe.bake_metrics import Look, Looks
from payment_operator.resources import jobs
from payment_operator.resources.credentials import ADMIN_TOKEN
from payment_operator.resources.release_record import moment

PROBE_SECONDS: Final = 5.0
TAKE_SECONDS: Final = 60.0
"""A command that a running pod has not taken by then is told of."""
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 1.0, 30.0
ACCEPTED: Final = 200
UNDECIDED: Final = frozenset({0, 429})
"""No answer, or one too many: it says nothing of the key."""
LATE: Final = timedelta(seconds=60)
"""After a switch: no look was taken before it, as far as this process knows."""


@dataclass
class Untaken:
    """A command that a pod has not taken yet."""

    state: tuple[object, ...]
    since: datetime
    again_at: datetime
    faults: int = 0


@dataclass
class PodWatch:
    """The memory of one environment; all of it can be lost."""

    admin: PodAdmin
    looks: Looks | None = None
    probes: dict[str, tuple[datetime, Probe]] = field(default_factory=dict)
    told: dict[tuple[str, str], tuple[object, ...]] = field(default_factory=dict)
    untaken: dict[tuple[str, str], Untaken] = field(default_factory=dict)

    async def look(self, state: ClusterState, placement: Placement) -> PodSight:
        """What the pods say, as far as a decision needs it."""
        bake = await self._bake(state, placement)
        probes = await self._probe(state, placement)
        long = timedelta(seconds=TAKE_SECONDS)
        late = frozenset(key for key, left in self.untaken.items() if state.now - left.since >= long)
        taken = frozenset(self.told) - self.untaken.keys() if self.told or self.untaken else None
        self._forget(state)
        return PodSight(probes, bake, late, taken)

    async def put(self, observed: ClusterState, action: PutToPod) -> float | None:
        """Send a command unless the pod's containers have taken it; return after how many seconds to try again."""
        key, state = (action.pod.uid, action.path), (action.pod.containers, action.body)
        if self.told.get(key) == state:
            return None
        left = self.untaken.get(key)
        if left is None or left.state != state:
            left = Untaken(state, left.since if left else observed.now, observed.now)
        if observed.now < left.again_at:  # each attempt may cost its whole time-out
            return (left.again_at - observed.now).total_seconds()
        taken = await self.admin.put(
            action.pod, action.path, dict([action.body]), token=token(observed, action.pod.revision)
        )
        if taken:
            self.told[key] = state
            self.untaken.pop(key, None)
            return None
        seconds = wait_after(left.faults, first=FIRST_RETRY_SECONDS, longest=LONGEST_RETRY_SECONDS)
        self.untaken[key] = Untaken(state, left.since, observed.now + timedelta(seconds=seconds), left.faults + 1)
        return seconds

    def _forget(self, state: ClusterState) -> None:
        """Drop what is known of pods that are gone."""
        present = {pod.uid for pod in state.pods}
        self.told = {key: state for key, state in self.told.items() if key[0] in present}
        self.untaken = {key: left for key, left in self.untaken.items() if key[0] in present}

    async def _bake(self, observed: ClusterState, placement: Placement) -> Bake:
        active, cutover = placement.active, observed.cutover
        if active is None or cutover is None or not baking(active):
            self.looks = None
            return Bake()
        if self.looks is None or self.looks.switch != f"{active.digest} {cutover.at}":
            late = observed.now - moment(cutover.at) > LATE
            self.looks = Looks(f"{active.digest} {cutover.at}", _baseline(observed, active), late=late)
        looks, limits = self.looks, observed.spec.release.bake
        if looks.at is None or observed.now - looks.at >= timedelta(seconds=limits.interval_seconds):
            await self._look_once(observed, placement, active, looks)
        return looks.seen

    async def _look_once(self, observed: ClusterState, placement: Placement, active: Revision, looks: Looks) -> None:
        pods = _running(observed, active)
        former = _running(observed, placement.previous) if placement.previous is not None else []
        samples, asked = await asyncio.gather(
            asyncio.gather(*(self._sample(pod) for pod in (*pods, *former))), self._measures(observed, active, pods)
        )
        answers = dict(zip((*pods, *former), samples, strict=True))
        blue = [answer for pod in former if isinstance(answer := answers.pop(pod), Sample)]
        look = Look(
            at=observed.now,
            restarts=sum(pod.restarts - looks.restarts.get(pod.uid, 0) for pod in _pods(observed, active)),
            ready=len(observed.ready(active.digest)) if observed.spec.replicas else 1,
            former=reduce(Sample.plus, blue, Sample()),
            asked=tuple(asked),
        )
        looks.take(answers, look, limits=observed.spec.release.bake)
        looks.at = observed.now

    async def _measures(self, observed: ClusterState, active: Revision, pods: list[Pod]) -> list[Measure]:
        """What others say of the revision; all are asked at once, each with its time-out."""
        bake, revision = observed.spec.release.bake, active.digest
        asked = [
            *(query_prometheus(entry, observed, revision=revision) for entry in bake.prometheus),
            *(call_webhook(entry, observed, revision=revision) for entry in bake.webhooks),
        ]
        if observed.spec.release.probe_key_secret_ref is not None:
            asked.append(self._try_key(observed.probe_key, pods))
        return await asyncio.gather(*asked)

    async def _try_key(self, key: str, pods: list[Pod]) -> Measure:
        """Whether every pod that answers accepts the probe key."""
        name, limit = "probeKey", "accepted"
        if not key:
            return Measure(name, "Inconclusive", "", limit, "spec.release.probeKeySecretRef names no key")
        answers = await asyncio.gather(*(self.admin.try_key(pod, key) for pod in pods))
        known = [(pod, status) for pod, status in zip(pods, answers, strict=True) if status not in UNDECIDED]
        if not known:
            return Measure(name, "Inconclusive", "", limit, f"none of {len(pods)} pods has answered")
        refused = [f"{pod.name} answers {status}" for pod, status in known if status != ACCEPTED]
        evidence = f"{len(known)} of {len(pods)} pods asked"
        if not refused:
            return Measure(name, "Passed", str(ACCEPTED), limit, evidence)
        return Measure(name, "Failed", refused[0], limit, evidence, f"the probe key is not accepted: {refused[0]}")

    async def _sample(self, pod: Pod) -> Sample | Unreadable:
        text = await self.admin.metrics(pod)
        if text is None:
            return Unreadable("/metrics on its admin port does not answer with 200")
        try:
            return parse(text)
        except Unreadable as error:
            return error

    async def _probe(self, observed: ClusterState, placement: Placement) -> dict[str, Probe]:
        if placement.previous is None or placement.active is None:
            self.probes.clear()
            return {}
        for revision in (placement.previous, placement.active):
            known = self.probes.get(revision.digest)
            ready = [pod for pod in observed.of(revision.digest, names.API) if pod.running and pod.ip]
            if ready and (known is None or observed.now - known[0] >= timedelta(seconds=PROBE_SECONDS)):
                found = await self.admin.probe(ready[0], token=token(observed, revision.digest))
                self.probes[revision.digest] = (observed.now, found)
        return {digest: probe for digest, (_, probe) in self.probes.items()}


def _baseline(observed: ClusterState, active: Revision) -> dict[str, int]:
    """Restarts by pod before the switch: those that smoke has seen, and for others those of now."""
    proven = dict(proof.rsplit(":", 1) for proof in active.record.step(jobs.SMOKE).pods)
    return {pod.uid: int(proven.get(pod.uid, pod.restarts)) for pod in _pods(observed, active)}


def _running(observed: ClusterState, revision: Revision) -> list[Pod]:
    return [pod for pod in observed.of(revision.digest, names.API) if pod.running and pod.ip]


def _pods(observed: ClusterState, active: Revision) -> list[Pod]:
    return [*observed.of(active.digest, names.API), *observed.of(active.digest, names.WORKER)]


def token(observed: ClusterState, digest: str) -> str:
    """The admin token of a revision's pods, from its credentials."""
    return observed.credentials(observed.revisions.get(digest)).get(ADMIN_TOKEN, "")
