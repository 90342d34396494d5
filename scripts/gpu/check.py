#!/usr/bin/env python3
"""Checks, without a GPU, that what dies, hangs or says nonsense under accept.sh is a line of its
report, and that the rest goes on. Called by .ci/run."""
import contextlib
import gzip
import io
import json
import tempfile
import unittest
from pathlib import Path

import accept
import common
import measure
import report

PEER = '''
import json, os, signal, sys, time
for line in sys.stdin:
    way = json.loads(line)
    does = way["precision"]
    if does == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    elif does == "hangs":
        time.sleep(60)
    elif does == "babbles":
        print("a library's greeting", flush=True)
    elif does == "is full":
        print(json.dumps({**way, "skipped": "out of memory"}), flush=True)
    else:
        print(json.dumps({**way, "seconds_per_step": 0.5, "steps": 2, "threads": os.getpid()}), flush=True)
'''
TANDEM = '''#!/usr/bin/env python3
import sys, time
does = sys.argv[-1]
if does == "hangs":
    time.sleep(60)
elif does == "fails":
    sys.exit("error: cuda:0 is lost")
print({"babbles": "fine!", "NaN": '{"seconds_per_step": NaN}'}.get(does, '{"seconds_per_step": 0.5}'))
'''


def row(way, seconds=None):
    return {**way, **({"seconds_per_step": seconds} if seconds else {"skipped": "no time was left"})}


class Acceptance(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.work = Path(folder.name)
        vars(common.options).update(work=self.work, out=self.work, quick=False, emulated=False, cudnn=True,
                                    allowed=1e-4)
        accept.HERE = measure.HERE = self.work
        (self.work / "pytorch_peer.py").write_text(PEER)
        (self.work / "bin").mkdir()
        (self.work / "bin/tandem").write_text(TANDEM)
        (self.work / "bin/tandem").chmod(0o755)
        (self.work / "library-path").write_text("")

    def ask(self, peer, does, compiled="no"):
        way = {"mode": "train", "batch": 1, "precision": does, "layout": "contiguous", "compile": compiled}
        return peer.ask(way, 1 if does == "hangs" else 30)

    def fails(self, command):
        with self.assertRaises(common.Failed) as failed, contextlib.redirect_stdout(io.StringIO()):
            command()
        return str(failed.exception)

    def test_a_peer_that_ends_hangs_or_babbles_is_recorded_and_another_answers(self):
        peer = measure.Peer()
        self.addCleanup(peer.end)
        first = self.ask(peer, "f32")["threads"]
        self.assertEqual(self.ask(peer, "is full")["skipped"], "out of memory")
        self.assertEqual(self.ask(peer, "f32")["threads"], first)
        self.assertEqual(self.ask(peer, "dies")["error"], "the peer ended with -9")
        self.assertNotEqual(self.ask(peer, "f32")["threads"], first)
        self.assertEqual(self.ask(peer, "hangs")["skipped"], "stopped after 1 s")
        self.assertEqual(self.ask(peer, "f32")["seconds_per_step"], 0.5)
        self.assertIn("greeting", self.ask(peer, "babbles")["error"])
        self.assertEqual(self.ask(peer, "f32")["seconds_per_step"], 0.5)

    def test_ways_that_ended_two_peers_are_not_asked_for_again(self):
        peer = measure.Peer()
        self.addCleanup(peer.end)
        answers = [self.ask(peer, does, "default") for does in ("dies", "dies", "f32")]
        self.assertEqual(answers[2], {"skipped": "two peers ended over such ways"})
        self.assertEqual(self.ask(peer, "f32")["seconds_per_step"], 0.5)

    def test_what_goes_wrong_with_tandem_is_an_error_of_its_row(self):
        for does, error in [("hangs", "stopped after 1 s"), ("fails", "cuda:0 is lost"), ("babbles", "no JSON"),
                            ("NaN", "no time")]:
            self.assertIn(error, common.bench(does, seconds=1)["error"])
        self.assertEqual(common.bench("works", seconds=30), {"seconds_per_step": 0.5})

    def test_an_aim_is_met_only_beside_pytorchs_best_ways(self):
        ours, theirs, again = measure.plan()
        slower = [row(way, 2) for way in theirs]
        some = [row(way, 2 if way["compile"] == "no" else None) for way in theirs]
        for peers, seconds, met in [(slower, 1, True), (some, 1, None), (some, 3, False), ([], 1, None)]:
            found = report.aims([], [row(way, seconds) for way in ours + again] + peers)
            self.assertEqual([aim["met"] for aim in found[2:]], [met] * 2)
        # Its own second turn counts too.
        bf16 = [row(way, 1) for way in ours if way["precision"] == "bf16" and not way.get("convolutions")]
        found = report.aims([], bf16 + [row(way, 3) for way in again] + slower)
        self.assertEqual(found[2]["met"], False)

    def test_broken_results_are_one_line_each(self):
        whole = {"what": "lrn", "type": "f32", "absolute": 1e-6, "relative": 0, "values": "1 NaN"}
        with gzip.open(self.work / "emulated-results.jsonl.gz", "wt") as lines:
            lines.write(json.dumps(whole) + "\n")
        self.assertIn("cannot be read", self.fails(accept.results))
        for text, why in [("", "0 here"), ("null\n", "1 lines of results are broken"), ('{"what"', "are broken"),
                          (json.dumps({**whole, "values": "NaN NaN"}), "inf times what is allowed")]:
            (self.work / "results.jsonl").write_text(text)
            self.assertIn(why, self.fails(accept.results))

    def test_broken_traces_are_one_line_each(self):
        for run in ["run-cpu", "run-cuda:0"]:
            (self.work / run).mkdir()
        (self.work / "run-cpu/metrics.jsonl").write_text('{"loss": 2.0}\n{"top1_error": 1}\n')
        for text in ["", '{"loss": null}\n', '{"loss": NaN}\n', '{"lo']:
            (self.work / "run-cuda:0/metrics.jsonl").write_text(text)
            self.assertIn("run-cuda:0 left no", self.fails(accept.traces))

    def test_the_report_is_json_whatever_the_parts_left(self):
        common.write("machine", {"gpu": "a GPU", "emulated": False, "cudnn": 92101})
        (self.work / "parts.tsv").write_text("compare\t137\t9\n")
        ours, theirs, again = measure.plan()
        for kernels, compare in [("", '[{"cut'), ("null", "[]"), ('[{"mode": "lrn", "dtype": "f32", "kernels": null}]',
                                 json.dumps([{**ours[0], "seconds_per_step": float("nan")}]))]:
            (self.work / "kernels.json").write_text(kernels)
            (self.work / "compare.json").write_text(compare)
            with self.assertRaises(SystemExit) as ended:
                report.report()
            whole = json.loads((self.work / "acceptance.json").read_text(), parse_constant=self.fail)
            self.assertEqual((ended.exception.code, whole["failed"]), (True, ["compare"]))
            self.assertIn("# Tandem", (self.work / "acceptance.md").read_text())
        self.assertEqual(len(whole["compare"]), len(ours + theirs + again))


if __name__ == "__main__":
    # Of pipes to peers that were ended.
    unittest.main(warnings="ignore")
