# SPDX-License-Identifier: LGPL-2.1-or-later
"""The pages, in a real browser."""

from __future__ import annotations

import csv
import io
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from allocdump.analysis.report import order, rows_of
from allocdump.analysis.sums import total
from allocdump.analysis.tree import site_tree
from allocdump.kernel.tags.roles import Role
from allocdump.kernel.tags.sites import Sites
from allocdump.view import units
from allocdump.view.html import page as html
from allocdump.view.report import document

from .. import samples
from ..dumpdata import core, run
from .chromium import CHROMIUM, DRIVER, Browser

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="needs Debian's packages chromium and chromium-driver",
)

QUIET = core("7.2-quiet")
BACKING = {role.value for role in Role if role.backing}
"""Sites that charts leave out, for what is in their pages has sites of its own."""
LEAVES = "return arguments[0].data[0].customdata.reduce((sum, leaves) => sum + leaves, 0)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    one = Browser()
    yield one
    one.quit()


def page(tmp_path: Path, *args: object) -> Path:
    path = tmp_path / "page.html"
    done = run(*args, "--format", "html", "--output", path)
    assert (done.returncode, done.stdout) == (0, "")
    return path


def made_up(tmp_path: Path, sites: Sites) -> Path:
    rows, everything = order(rows_of(sites)), total(sites)
    tree = site_tree(sites, sites.bytes, "memory")
    path = tmp_path / "page.html"
    path.write_text(
        html.render(document(samples.report(sites), rows, everything, everything, tree))
    )
    return path


def find(browser: Browser, selector: str) -> WebElement:
    return browser.driver.find_element(By.CSS_SELECTOR, selector)


def column(browser: Browser, number: int) -> list[str]:
    """The cells of a column that are in the document."""
    cells: list[str] = browser.run(
        "return [...document.querySelectorAll('tbody tr:not(.space)')]"
        ".map(row => row.children[arguments[0]].textContent)",
        number,
    )
    return cells


@pytest.mark.parametrize("folder", ["7.2-quiet", "6.12-oom"])
def test_report(browser: Browser, tmp_path: Path, folder: str) -> None:
    browser.open(page(tmp_path, "report", core(folder)))
    text = run("report", core(folder), "--format", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    holding = [row for row in rows if int(row["bytes"]) > 0 and row["role"] not in BACKING]
    assert browser.run(LEAVES, find(browser, ".chart")) == len(holding)
    # As many tiles are drawn as there are places for, and what they hold is all.
    drawn = browser.run("return document.querySelectorAll('.chart .slice').length")
    assert drawn == browser.run("return document.querySelector('.chart').data[0].ids.length")
    whole = browser.run("return document.querySelector('.chart').data[0].values[0]")
    assert whole == sum(int(row["bytes"]) for row in holding)
    assert column(browser, 0)[:5] == [units.size(int(row["bytes"])) for row in rows[:5]]
    assert find(browser, "output").text.startswith(f"{len(rows)} sites: ")
    assert browser.run(
        "const { scrollWidth, clientWidth } = document.querySelector('.scroll');"
        "return scrollWidth <= clientWidth"
    )


def test_treemap_goes_closer_and_back(browser: Browser, tmp_path: Path) -> None:
    browser.open(page(tmp_path, "report", QUIET))
    chart = find(browser, ".chart")
    everything = browser.run(LEAVES, chart)

    def click(text: str) -> None:
        for tile in chart.find_elements(By.CSS_SELECTOR, ".slice, .pathbar"):
            label = tile.find_element(By.CSS_SELECTOR, "text")
            if label.text.startswith(text):
                ActionChains(browser.driver).move_to_element(label).click().perform()
                time.sleep(0.1)
                return
        labels = [
            t.text for t in chart.find_elements(By.CSS_SELECTOR, ".slice text, .pathbar text")
        ]
        raise AssertionError(f"there is no {text!r} among {labels}")

    def top() -> Any:
        return browser.run(
            "const { level, ids, labels } = arguments[0].data[0];return labels[ids.indexOf(level)]",
            chart,
        )

    text = run("report", QUIET, "--format", "csv", "--filter", "file=mm/*").stdout
    sites = [site for site in csv.DictReader(io.StringIO(text)) if site["role"] not in BACKING]
    click("mm ")
    assert top().startswith("mm ")
    assert browser.run(LEAVES, chart) == len(sites)
    click("slub.c ")
    assert top().startswith("slub.c ")
    slub = [site for site in sites if site["file"] == "mm/slub.c"]
    assert browser.run(LEAVES, chart) == len(slub)
    click("mm ")
    click("memory ")
    assert browser.run(LEAVES, chart) == everything
    assert browser.complaints() == []


def test_sort_and_search(browser: Browser, tmp_path: Path) -> None:
    browser.open(page(tmp_path, "report", QUIET))
    text = run("report", QUIET, "--format", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    heads = browser.driver.find_elements(By.CSS_SELECTOR, "th button")
    assert [head.text for head in heads][:6] == [
        "Size", "Site", "Function", "Calls", "Average", "Share",
    ]  # fmt: skip
    functions = sorted(row["function"] for row in rows)
    heads[2].click()
    assert column(browser, 2)[:20] == functions[:20]
    assert find(browser, "th[aria-sort=ascending]").text == "Function"
    heads[2].click()
    assert column(browser, 2)[:20] == functions[::-1][:20]
    # With the keyboard.
    calls = sorted((int(row["calls"]) for row in rows if row["calls"]), reverse=True)
    heads[3].send_keys(Keys.ENTER)
    assert column(browser, 3)[:20] == [units.count(n) for n in calls[:20]]
    assert find(browser, "th[aria-sort=descending]").text == "Calls"
    search = find(browser, "input[type=search]")
    search.send_keys("labmod vmalloc")
    found = [row for row in rows if "labmod" in row["file"] and "vmalloc" in row["function"]]
    assert sorted(column(browser, 2)) == sorted(row["function"] for row in found)
    held = units.size(sum(int(row["bytes"]) for row in found))
    assert find(browser, "output").text == f"{len(found)} of {len(rows)} sites: {held}"
    search.clear()
    search.send_keys("no such thing")
    assert column(browser, 5) == []
    assert browser.complaints() == []


def test_what_is_unknown_comes_last(browser: Browser, tmp_path: Path) -> None:
    browser.open(page(tmp_path, "report", core("6.12-oom"), "--filter", "module=lea*"))
    calls = column(browser, 3)
    assert "-" in calls
    known = sorted((int(text.replace(",", "")) for text in calls if text != "-"), reverse=True)
    head = browser.driver.find_elements(By.CSS_SELECTOR, "th button")[3]
    for expected in (known, known[::-1]):
        head.click()
        shown = column(browser, 3)
        assert shown[: len(known)] == [units.count(n) for n in expected]
        assert set(shown[len(known) :]) == {"-"}


HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><a href="https://example.org/">',
    "<b>bold</b><br>&lt;&amp;",
    "%{label} $x^2$ ${1+1}",
    "\u2028\u2029]]><!--",
]


def test_names_from_a_dump_stay_text(browser: Browser, tmp_path: Path) -> None:
    rows = ((f"{n}.c", 1, n, n, (10 - i) << 20, 1) for i, n in enumerate(HOSTILE))
    path = made_up(tmp_path, samples.sites(*rows))
    browser.open(path)  # an open dialog would fail it
    scripts = browser.run("return [...document.scripts].map(script => script.textContent)")
    assert not any(text.startswith("alert") for text in scripts)
    assert browser.run("return document.querySelectorAll('main a, main img').length") == 0
    assert column(browser, 2) == HOSTILE
    assert column(browser, 6) == HOSTILE
    shown = browser.run(
        "return [...document.querySelectorAll('.chart .slice text')]"
        ".map(text => [...text.querySelectorAll('tspan.line')].map(t => t.textContent)[0]"
        " ?? text.textContent)"
    )
    for name in HOSTILE[:-1]:  # the last one has line separators, which SVG shows as blanks
        assert name in shown
    chart = find(browser, ".chart")
    tile = next(
        tile
        for tile in chart.find_elements(By.CSS_SELECTOR, ".slice")
        if tile.text.startswith(HOSTILE[0])
    )
    ActionChains(browser.driver).move_to_element(tile).perform()
    browser.until("return document.querySelector('.chart .hovertext')")
    assert HOSTILE[0] in find(browser, ".chart .hovertext").text
    assert browser.complaints() == []
    assert browser.requests() == set()


def test_the_page_may_not_load_or_run_anything(browser: Browser, tmp_path: Path) -> None:
    browser.open(page(tmp_path, "report", QUIET))
    blocked = browser.driver.execute_async_script(
        """const done = arguments[0], seen = [];
        document.addEventListener("securitypolicyviolation", event => {
          seen.push(event.effectiveDirective);
          if (seen.length === 4) done(seen.sort());
        });
        fetch("http://127.0.0.1:9/").catch(() => {});
        document.body.append(Object.assign(new Image(), { src: "http://127.0.0.1:9/x.png" }));
        const script = document.createElement("script");
        script.textContent = "window.ran = true";
        document.body.append(script);
        const attribute = document.createElement("div");
        attribute.setAttribute("onclick", "window.ran = true");
        document.body.append(attribute);
        attribute.click();"""
    )
    assert blocked == ["connect-src", "img-src", "script-src-attr", "script-src-elem"]
    assert browser.run("return window.ran") is None
    assert all("Content Security Policy" in complaint for complaint in browser.complaints())


def test_ten_thousand_sites(browser: Browser, tmp_path: Path) -> None:
    sites = samples.sites(
        *(
            (f"drivers/d{i % 40}/v{i % 611}/f{i % 7}.c", i, f"function_{i}", "", i * i, i)
            for i in range(1, 10_001)
        )
    )
    browser.open(made_up(tmp_path, sites))
    assert browser.run(LEAVES, find(browser, ".chart")) == 10_000
    assert browser.run("return document.querySelectorAll('.chart .slice').length") < 3_000
    assert browser.run("return document.querySelectorAll('tbody tr').length") < 200
    drawn = browser.run(
        """const box = document.querySelector(".table"), heads = box.querySelectorAll("th button");
        const input = box.querySelector("input"), drawn = [];
        const changes = new MutationObserver(() => {});
        changes.observe(box, { childList: true, subtree: true });
        const count = action => {
          action();
          const added = changes.takeRecords().flatMap(change => [...change.addedNodes]);
          drawn.push(added.filter(node => node.nodeName === "TR").length);
        };
        for (const head of heads) count(() => head.click());
        for (const text of ["f", "function_12", "nothing", ""]) count(() => {
          input.value = text;
          input.dispatchEvent(new Event("input"));
        });
        count(() => {
          box.querySelector(".scroll").scrollTop = 150000;
          box.querySelector(".scroll").dispatchEvent(new Event("scroll"));
        });
        return drawn;"""
    )
    # Whatever is done, only the rows that can be seen are made again.
    assert min(drawn) > 0
    assert max(drawn) < 200
    rows = browser.run("return document.querySelectorAll('tbody tr:not(.space)').length")
    assert rows > 20
    assert column(browser, 5)  # rows of where it was scrolled to
    # Going closer to what is drawn together, again and again, ends at single sites.
    steps = browser.run(
        """const chart = document.querySelector(".chart"), steps = [];
        for (let i = 0; i < 20; i++) {
          const { customdata, ids } = chart.data[0], most = Math.max(...customdata);
          steps.push([customdata.reduce((sum, leaves) => sum + leaves, 0), most]);
          const id = ids[customdata.indexOf(most)];
          if (most > 1) chart.emit("plotly_treemapclick", { points: [{ id }], nextLevel: id });
        }
        return steps;"""
    )
    assert steps[0][0] == 10_000
    for (_, most), (leaves, _) in itertools.pairwise(steps):
        assert leaves == most or most == 1
    assert steps[-1][1] == 1
    assert browser.complaints() == []


def test_paper_gets_rows_not_scroll_bars(browser: Browser, tmp_path: Path) -> None:
    browser.open(page(tmp_path, "report", QUIET))
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert len(column(browser, 0)) == 201
    assert column(browser, 0)[-1].endswith(" more")
    browser.run("dispatchEvent(new Event('afterprint'))")
    assert len(column(browser, 0)) < 100
    assert browser.complaints() == []


def test_usage(browser: Browser, tmp_path: Path) -> None:
    browser.open(page(tmp_path, "usage", QUIET))
    tree = json.loads(run("usage", QUIET, "--format", "json").stdout)["memory"]

    def leaves(node: Any) -> Any:
        children = node.get("children", [])
        return sum(map(leaves, children)) if children else node["bytes"] > 0

    assert browser.run(LEAVES, find(browser, ".chart")) == leaves(tree)
    assert find(browser, ".figures dd").text == units.size(tree["bytes"])
    outputs = [o.text for o in browser.driver.find_elements(By.CSS_SELECTOR, "output")]
    assert outputs[1].endswith(units.size(tree["bytes"]))


def test_diff(browser: Browser, tmp_path: Path) -> None:
    dumps = core("7.3-before"), core("7.3-after")
    browser.open(page(tmp_path, "diff", *dumps))
    document = json.loads(run("diff", *dumps, "--format", "json").stdout)
    changed = [row for row in document["rows"] if row["growth"] and row["role"] not in BACKING]
    assert browser.run(LEAVES, find(browser, ".chart")) == len(changed)
    assert "leaker_get_page: +4.00 MiB" in find(browser, ".lead").text
    assert column(browser, 0)[0] == "+4.00 MiB"


@pytest.mark.parametrize(
    ("folder", "suspects"), [("6.12-oom", 2), ("6.12-oom-user", 2), ("tiny-never", 0)]
)
def test_triage(browser: Browser, tmp_path: Path, folder: str, suspects: Any) -> None:
    browser.open(page(tmp_path, "triage", core(folder)))
    document = json.loads(run("triage", core(folder), "--format", "json").stdout)
    assert find(browser, ".lead").text == document["verdict"]["text"]
    first, *sections = browser.driver.find_elements(By.CSS_SELECTOR, "section")
    assert first.find_elements(By.CSS_SELECTOR, ".chart")
    assert len(document["suspects"]) == suspects
    for section, suspect in zip(sections, document["suspects"], strict=False):
        assert section.is_displayed()
        assert suspect["title"]["text"] in section.text
        for sentence in suspect["evidence"]:
            assert sentence["text"] in section.text
        assert section.find_element(By.TAG_NAME, "pre").text.split("\n") == suspect["commands"]
    if not suspects:
        assert "Nothing stands out." in sections[0].text
    whole = browser.run("return document.querySelector('.chart').data[0].values[0]")
    assert whole == document["memory"]["usage"][0]["bytes"]
    assert browser.complaints() == []


def test_no_differences(browser: Browser, tmp_path: Path) -> None:
    browser.open(page(tmp_path, "diff", QUIET, QUIET))
    assert "no differences" in find(browser, "section").text
    assert browser.driver.find_elements(By.CSS_SELECTOR, ".chart") == []


def test_numbers_are_the_ones_of_the_command_line(browser: Browser, tmp_path: Path) -> None:
    browser.open(page(tmp_path, "diff", QUIET, QUIET))
    values = [0, 1, -1, 999, 1000, 1023, 1024, 1152, 1536, -1664, 10235, 10239, 102_348, 102_400]
    values += [2**n + d for n in range(10, 50) for d in (-1, 0, 1, 2 ** (n - 3))]
    shown = browser.run(
        "return arguments[0].map(v => [formats.size(v), formats.growth(v)])", values
    )
    assert shown == [[units.size(v), units.growth(v)] for v in values]
    shares = [i / 1000 + d for i in range(0, 1001, 7) for d in (0, 0.0005, 0.00025)]
    shown = browser.run("return arguments[0].map(formats.share)", shares)
    assert shown == [units.share(share, 1) for share in shares]
    times = [0, 0.05, 0.25, 5.349999, 59.94, 59.96, 60, 3599.9, 3600, 3700.5, 86399, 90000, 1e7]
    shown = browser.run("return arguments[0].map(duration)", times)
    assert shown == [units.duration(time) for time in times]
    counts = [0, 1, 999, 1000, 1_234_567]
    shown = browser.run("return arguments[0].map(v => [count(v), formats.more(v)])", counts)
    assert shown == [[units.count(v), units.more(v)] for v in counts]


def test_the_verdict_is_the_largest_and_the_chart_is_seen_first(
    browser: Browser, tmp_path: Path
) -> None:
    browser.open(page(tmp_path, "triage", core("6.12-oom")))
    sizes = browser.run(
        "return [...document.querySelectorAll('main *')].filter(e => !e.closest('.chart'))"
        ".map(e => [parseFloat(getComputedStyle(e).fontSize), e.className])"
    )
    (largest,) = {name for size, name in sizes if size == max(size for size, _ in sizes)}
    assert largest == "lead bad"
    assert find(browser, ".badge").text == "certain"
    assert browser.run("return document.querySelector('.chart').getBoundingClientRect().top") < 700


def test_a_click_in_the_chart_filters_the_table(browser: Browser, tmp_path: Path) -> None:
    browser.open(page(tmp_path, "report", QUIET))
    text = run("report", QUIET, "--format", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    click = (
        "const chart = document.querySelector('.chart'), { ids, labels } = chart.data[0];"
        "const id = ids[labels.findIndex(label => label.split('  ')[0] === arguments[0])];"
        "const at = { points: [{ id }], nextLevel: arguments[1] ? id : undefined };"
        "chart.emit('plotly_treemapclick', at)"
    )
    everything = find(browser, "output").text
    browser.run(click, "mm", False)
    inside = [
        row
        for row in rows
        if row["file"].startswith("mm/") and int(row["bytes"]) > 0 and row["role"] not in BACKING
    ]
    assert find(browser, "output").text.startswith(f"{len(inside)} of {len(rows)} sites")
    assert all(place.startswith("mm/") for place in column(browser, 1))
    # A search goes on among them.
    find(browser, "input[type=search]").send_keys("slub")
    assert all(place.startswith("mm/slub.c:") for place in column(browser, 1))
    find(browser, "input[type=search]").send_keys(Keys.BACKSPACE * 4)
    browser.run(click, "memory", True)
    assert find(browser, "output").text == everything
    assert browser.complaints() == []


def test_a_table_of_few_rows_has_no_search(browser: Browser, tmp_path: Path) -> None:
    browser.open(page(tmp_path, "triage", core("6.12-oom")))
    searches = browser.run(
        "return [...document.querySelectorAll('.table')].map(box =>"
        " [Number(box.querySelector('table').getAttribute('aria-rowcount')) - 1,"
        " box.querySelector('input') !== null])"
    )
    assert {rows > 5 for rows, _ in searches} == {True, False}
    assert all(search == (rows > 5) for rows, search in searches)


def test_a_telephone_shows_sites_first(browser: Browser, tmp_path: Path) -> None:
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        path = page(tmp_path, "report", QUIET)
        browser.open(path)
        heads = [head.text for head in browser.driver.find_elements(By.CSS_SELECTOR, "th")]
        assert heads[:3] == ["Site", "Function", "Size"]
        assert all(":" in place for place in column(browser, 0))
        assert find(browser, "th").rect["width"] >= 150
        # The page itself is not wider than the telephone; only the table scrolls.
        assert browser.run("return document.documentElement.scrollWidth") <= 390
        browser.run("document.querySelector('.scroll').scrollLeft = 300")
        assert find(browser, "td:first-child").rect["x"] >= 0
        browser.run("document.querySelectorAll('th button')[2].click()")
        sizes = browser.run("return tables[0].shown.map(i => tables[0].columns[2].values[i])")
        assert sizes == sorted(sizes, reverse=True)
        assert browser.complaints() == []
    finally:
        browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
