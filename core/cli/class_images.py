"""``python -m core class-images``: the class pictures of prior preservation, drawn before any training."""

from core.cli.common import Base, Changes, Source, WorkspaceOption, app, checked_config, open_workspace


@app.command("class-images")
def class_images(
    source: Source, preset: Base = "demo", changes: Changes = None, workspace: WorkspaceOption = None
) -> None:
    """Draws the class pictures that trainings of a configuration share; what is there is not drawn again."""
    config = checked_config(source, preset, changes, workspace)
    from core.runs.cached import CLASS_IMAGES
    from core.runs.folder import RunFolder
    from core.training.class_images import draw_class_images
    from core.training.report import Report

    class Spoken(Report):
        """Says how far it is, a line a picture."""

        def progress(self, done: int, total: int) -> None:
            super().progress(done, total)
            print(f"{done} of {total} drawn", flush=True)

    space = open_workspace(workspace)
    report = Spoken(RunFolder(space.root / CLASS_IMAGES), None)
    items = draw_class_images(config, space, report)
    print(f"{len(items)} class pictures, in {', '.join(sorted({str(item.path.parent) for item in items}))}")
