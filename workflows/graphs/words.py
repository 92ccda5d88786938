"""What stands on a step in a drawing."""

from workflows.definitions.models import (
    Approval,
    BaseStep,
    Child,
    ForEach,
    FunctionStep,
    If,
    Parallel,
    Switch,
    Wait,
    WaitFor,
    While,
)


def about(step: BaseStep) -> str:
    """What the step does, in a line: who calls what, or what a block asks, waits for or repeats."""
    match step:
        case FunctionStep():
            return f"{step.agent_id} · {step.function_name}" + (", then what it generates" if step.generate else "")
        case If():
            return f"if {step.if_}"
        case Switch():
            return f"by {step.switch}"
        case ForEach():
            at_once = f", {step.max_concurrency} at once" if step.max_concurrency > 1 else ""
            return f"for each {step.as_} of {step.for_each}{at_once}"
        case While():
            return f"while {step.while_}"
        case Parallel():
            return f"{len(step.parallel)} branches at once"
        case Child():
            return f"run of {step.workflow}" + (f", version {step.version}" if step.version else "")
        case Wait():
            return f"until {step.wait.until}" if step.wait.until else f"for {step.wait.seconds} s"
        case Approval():
            return f"asks: {step.approval.prompt}"
        case WaitFor():
            return f"waits for event {step.wait_for.event}"
    raise TypeError(f"no words for a step of kind {step.kind}")


def branches(step: BaseStep) -> list[tuple[str, tuple[BaseStep, ...]]]:
    """The branches that have steps, by what is written on them: nothing where there is only one way."""
    loops = isinstance(step, ForEach | While)
    return [("" if loops else name, steps) for name, steps in step.branches.items() if steps]


def plain(text: str, longest: int) -> str:
    """``text`` on one line, cut to so many characters, without what XML can't hold or what turns letters round."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: longest * 4]).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
