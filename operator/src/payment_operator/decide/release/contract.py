"""The last step of a release: contract migrations, once no pod of another revision exists."""

from payment_operator.decide.release.jobs import make_again, migrate, name_of
from payment_operator.decide.turn import Progress, Turn
from payment_operator.resources import jobs


def contract(turn: Turn) -> Progress | None:
    """Run the contract migrations that wait; a failure is reported and waits for `retry`."""
    observed, active = turn.observed, turn.placement.active
    if active is None or not active.record.stable_at or turn.placement.previous is not None:
        return None
    if observed.suspended or observed.spec.migrations.contract_policy == "Never" or not waits(turn):
        return None
    if others := observed.populated() - {active.digest}:
        turn.decision.look_again(2)
        return Progress("Contract", f"the pods of {', '.join(sorted(others))} to end")
    name = name_of(observed, active, jobs.CONTRACT)
    if refused := observed.refusals.get(("Job", name)):
        make_again(turn, active, jobs.CONTRACT, refused=refused)
        return Progress("Contract", f"the API server to take the Job {name}")
    return migrate(turn, active, jobs.CONTRACT)


def waits(turn: Turn) -> bool:
    """Whether the active revision has contract migrations left that have not failed."""
    active = turn.placement.active
    if active is None or active.record.migration is None or turn.observed.spec.migrations.mode == "Disabled":
        return False
    return active.record.migration.contract and active.record.step(jobs.CONTRACT).state != "Failed"
