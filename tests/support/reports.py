"""A fabricated experiment's report, and a browser page that reads it."""

import io
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from core.config.presets import load_preset
from core.plots import PLOTS
from core.report.export import export_report
from core.runs.workspace import Workspace
from core.samples.found import Spot, find_samples
from tests.support.fabricated import changed, make_experiment, write_sample

CAT, DOG = "a cat", "a dog"
ORANGE, WHITE, GRAY = (255, 165, 0), (255, 255, 255), (128, 128, 128)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Two arms of two seeds with two sample seeds; at step 0 the arms are alike, and pictures are missing."""
    config = changed(load_preset("demo").config, max_train_steps=30, validation_prompts=(CAT, DOG))
    experiment = make_experiment(Workspace(tmp_path_factory.mktemp("browser") / "workspace"), config=config, seeds=2)
    for arm in experiment.arms:
        for prompt in (0, 1):
            write_sample(arm.run, 30, prompt, 43, colour="orange" if arm.arm == "teacher-forced" else "navy")
    for step in (5, 10, 15, 20, 25):
        write_sample(experiment.arms[0].run, step)
    find_samples(experiment.arms[1].run.samples_dir)[Spot(30, 1, 42)].unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("core.report.plots.PLOTS", {name: PLOTS[name] for name in ("loss", "drift_m1")})
        return export_report(experiment, tmp_path_factory.mktemp("out") / "report")


class Reader:
    """A browser page that shows the report, and what it did."""

    def __init__(self, chromium, report: Path, **context) -> None:
        self.context = chromium.new_context(**({"viewport": {"width": 1440, "height": 1000}} | context))
        self.page = self.context.new_page()
        self.asked: list[str] = []
        self.said: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.goto((report / "index.html").as_uri())
        self.viewer = self.page.locator("rollout-viewer")
        self.where = self.viewer.get_by_role("status")
        self.stage = self.viewer.locator(".stage")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def focus(self) -> None:
        self.viewer.locator("section").focus()

    def active(self, question: str):
        """What a JavaScript function says of the viewer's element that has the focus."""
        return self.viewer.evaluate(f"(viewer) => ({question})(viewer.shadowRoot.activeElement)")

    def colours(self, *shares: float) -> list[tuple[int, ...]]:
        """Colours of the large picture at these shares of its width."""
        picture = self.picture()
        return [picture.getpixel((int(share * picture.width), picture.height // 4)) for share in shares]

    def picture(self) -> Image.Image:
        self.page.wait_for_function(
            "() => [...document.querySelector('rollout-viewer').shadowRoot.querySelectorAll('.stage img')]"
            ".every((image) => image.complete)"
        )
        whole = Image.open(io.BytesIO(self.stage.screenshot())).convert("RGB")
        return ImageOps.crop(whole, 2)  # its edge may share a pixel with the page


@pytest.fixture
def reader(chromium, report):
    made = Reader(chromium, report)
    yield made
    made.context.close()
    assert made.said == []
    assert all(url.startswith(("file:", "data:")) for url in made.asked)
