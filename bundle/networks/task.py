"""Tasks by name: an unknown name is an error that lists the known ones."""

from collections.abc import Sequence

from bundle.errors import BundleError


def check_task_names(tasks: Sequence[str]) -> None:
    """Check that there are tasks, and that each has a name of its own.

    Raises:
        BundleError: if there is none, a name is no string or it occurs twice.
    """
    if isinstance(tasks, str) or not tasks or not all(isinstance(task, str) and task for task in tasks):
        raise BundleError(f"A network needs a list of task names, such as ['dna', 'tom20'], not {tasks!r}.")
    if len(set(tasks)) != len(tasks):
        raise BundleError(f"Each task needs a name of its own, but a name occurs twice in {list(tasks)}.")


def find_tasks(wanted: int | str | Sequence[int] | Sequence[str], known: Sequence[str]) -> list[int]:
    """Return the indices of tasks among the known ones.

    Args:
        wanted: one name or index, or several.
        known: the known names, in the order of their indices.

    Raises:
        BundleError: if a name or an index is unknown, or none is given.
    """
    items: Sequence[int | str] = [wanted] if isinstance(wanted, int | str) else wanted
    if not items:
        raise BundleError(f"No task is given: choose from {', '.join(known)}.")
    return [_find_task(item, known) for item in items]


def _find_task(task: int | str, known: Sequence[str]) -> int:
    if isinstance(task, str) and task in known:
        return known.index(task)
    if isinstance(task, int) and 0 <= task < len(known):
        return task
    raise BundleError(f"There is no task {task!r}: choose from {', '.join(known)}.")


def choose_tasks(wanted: int | str | Sequence[int] | Sequence[str] | None, known: Sequence[str]) -> list[str]:
    """Give the names of the wanted tasks among the known ones; None wants all.

    Raises:
        BundleError: as `find_tasks`.
    """
    return list(known) if wanted is None else [known[index] for index in find_tasks(wanted, known)]
