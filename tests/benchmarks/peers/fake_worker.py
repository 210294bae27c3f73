"""Stands for the peer's script in the tests: plain Python that answers the protocol, with our own reference for the kernels.

It is run by the tests' own interpreter. The environment variable FAKE_PEER says what is wrong with it: `unequal` kernels, a `failure`
as an answer, `death` by exit status 3, `noise` on the output, `silence`.
"""

import json
import os
import sys
import time

import numpy as np

FAULT = os.environ.get("FAKE_PEER", "")
answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)
print("a library prints something")  # must not reach the answers


def values(case, inputs, to, dtype):
    from skipbench.architecture import architecture_from_dict
    from skipbench.kernels import kernel_matrices

    with np.load(inputs) as given:
        nngp, ntk = kernel_matrices(architecture_from_dict(case["architecture"]), given["x"], given["z"], engine="reference")
    factor = 1.001 if FAULT == "unequal" else 1.0
    np.savez(to, nngp=nngp.numpy().astype(dtype), ntk=factor * ntk.numpy().astype(dtype))
    return {}


case = None
for line in sys.stdin:
    request = json.loads(line)
    wanted = request.pop("do")
    if wanted == "begin":
        case = request["case"]
        answer = {"packages": {"neural-tangents": "0.0", "numpy": np.__version__}, "threads": 2}
    elif wanted == "values":
        answer = values(case, **request)
    elif wanted == "prepare":
        if FAULT == "failure":
            answer = {"error": "RuntimeError: out of luck"}
        elif FAULT == "death":
            print("about to die", file=sys.stderr, flush=True)
            sys.exit(3)
        else:
            settings = {"n": 8, "m": 8, "batch": 8, "calls": 2, "dtype": "float32"}
            answer = {"pairs": 128, "first_call_seconds": 0.5, "settings": settings}
    else:
        answer = {"seconds": 0.25}
    if FAULT == "silence":
        time.sleep(60)
    print("no json" if FAULT == "noise" else json.dumps(answer), file=answers, flush=True)
