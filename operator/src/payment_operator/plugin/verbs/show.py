"""Verbs that only look: status, history, plan."""

from dataclasses import asdict
from typing import Any

from payment_operator.plugin.context import Context
from payment_operator.plugin.describe import history_of, status_of
from payment_operator.plugin.errors import NotFound
from payment_operator.plugin.follow import Watch, until_hold, until_over
from payment_operator.plugin.kubectl import Kubectl, Object
from payment_operator.plugin.model import BAD, Plan
from payment_operator.plugin.planning import plan_of_image
from payment_operator.plugin.progress import newest_job
from payment_operator.plugin.screens import history_screen, plan_screen, status_screen
from payment_operator.plugin.snapshot import Observed, environment_named, observe
from payment_operator.plugin.verdict import halted


def status(context: Context) -> int:
    """Show the environment; with ``-w`` until the release is over."""
    options = context.options
    if options.watch:
        environment = environment_named(context.kubectl, context.name)
        return Watch(
            kubectl=context.kubectl,
            output=context.output,
            name=environment["metadata"]["name"],
            goal=until_hold if options.until == "hold" else until_over,
            timeout_seconds=options.timeout,
            suffix=context.suffix,
        ).run()
    found = status_of(observe(context.kubectl, context.name), suffix=context.suffix)
    context.output.show(status_screen(found, context.output.style), found.plain())
    return int(found.state in BAD)


def history(context: Context) -> int:
    """List the revisions that are remembered."""
    observed = observe(context.kubectl, context.name)
    found = history_of(observed)
    for error in observed.hidden:
        if "controllerrevisions" in str(error):
            raise error
    context.output.show(history_screen(found, context.output.style), [asdict(entry) for entry in found])
    return 0


def plan(context: Context) -> int:
    """Show what a release does, or would do, to the database.

    Raises:
        NotFound: no plan has run yet.
    """
    kubectl, options = context.kubectl, context.options
    if options.image:
        environment = environment_named(kubectl, context.name)
        found = plan_of_image(kubectl, environment, image=options.image, seconds=options.timeout)
    else:
        found = plan_of(observe(kubectl, context.name), kubectl)
    context.output.show(plan_screen(found, context.output.style), asdict(found))
    return int(bool(found.lint))


def plan_of(observed: Observed, kubectl: Kubectl) -> Plan:
    """Return the plan; its whole SQL where the Job's log can be read, else the short form of the status."""
    environment = observed.environment
    metadata, known = environment["metadata"], environment.get("status", {})
    revision: dict[str, Any] = known.get("candidate") or known.get("active") or {}
    migration = known.get("migration")
    if not known.get("candidate") and halted(environment) and revision.get("image") != _image(environment):
        again = f"kubectl payments plan {metadata['name']} --image {_image(environment)}"
        raise NotFound(f"the release of the new image is {halted(environment)} before its plan", fix=again)
    if not migration:
        why = "migrations.mode is Disabled" if _unplanned(environment) else "the release has not got that far"
        raise NotFound(f"no plan has run yet: {why}", fix=f"kubectl payments status {metadata['name']}")
    sql, source = migration.get("sql", ""), "first lines, from the status"
    job = newest_job(observed, "plan", revision.get("hash", ""))
    if job and migration.get("pending"):
        name = job["metadata"]["name"]
        done = kubectl.run("logs", f"job/{name}", f"--namespace={metadata['namespace']}")
        if not done.code and done.out.strip():
            sql, source = done.out, f"log of Job {name}"
    return Plan(
        environment=metadata["name"],
        namespace=metadata["namespace"],
        image=revision.get("image") or environment["spec"]["image"],
        revision=revision.get("revision"),
        current=migration.get("current", ""),
        target=migration.get("target", ""),
        pending=migration.get("pending", []),
        lint=migration.get("lint", []),
        sql=sql,
        source=source,
    )


def _image(environment: Object) -> str:
    return str(environment["spec"]["image"])


def _unplanned(environment: Object) -> bool:
    return bool(environment["spec"].get("migrations", {}).get("mode") == "Disabled")
