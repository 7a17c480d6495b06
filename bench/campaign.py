"""The runs that bench/results holds, as data: a name and the command line that measures it.

Each is a process of its own, because XLA keeps the threads it starts with.
"""

PEERS = "cyconv-direct,torch-nhwc,torch-nchw,onnxruntime,jax,im2col"  # NumPy's windows are never the fastest
BATCHES = {"resnet50": "1,4", "vgg16": "1,4", "mobilenet": "1,4", "lenet": "32,64", "cifar": "32,64"}
LARGE = {"resnet50": "32", "vgg16": "32", "mobilenet": "32"}  # by themselves: they take longer than all others
FOUR = {"resnet50": "4", "vgg16": "4"}
DTYPES = ("float32", "float64")
THREADS = (1, 2)

_LAYERS = {
    f"{suite}-{dtype}-{name}": f"layers --suite {suite} --batch {of_suite} --dtype {dtype} --threads {threads} "
    f"--peers {PEERS}"
    for name, threads, batches in (("1t", 1, BATCHES), ("1t-large", 1, LARGE), ("2t", 2, FOUR))
    for suite, of_suite in batches.items()
    for dtype in DTYPES
}

_SPEEDUPS = {
    f"{suite}-{dtype}-threads{large}": f"layers --suite {suite} --batch {batches[suite]} --dtype {dtype} --threads 1,2 "
    "--peers none"
    for large, batches in (("", BATCHES), ("-large", LARGE))
    for suite in LARGE
    for dtype in DTYPES
}

_LIMITS = {  # each gradient alone, as a share of the machine's limit
    f"{suite}-{dtype}-limit{large}": f"layers --suite {suite} --batch {of_suite} --dtype {dtype} --algorithm direct "
    "--direction forward,input_grad,weight_grad --peers none"
    for large, batches in (("", BATCHES), ("-large", LARGE))
    for suite, of_suite in batches.items()
    for dtype in DTYPES
}

_POOLS = {
    f"pool-{dtype}-{threads}t": f"layers --suite pool --dtype {dtype} --threads {threads} "
    "--peers cyconv-out,torch-nhwc,torch-nchw,onnxruntime,jax"
    for dtype in DTYPES
    for threads in THREADS
}

_POOLS |= {  # beyond any cache, beside a plain copy
    f"pool-{dtype}-large": f"layers --suite pool -k 2x2/2 --batch 256 --direction forward --dtype {dtype} "
    "--peers cyconv-out,torch-nhwc"
    for dtype in DTYPES
}

_DEPTHWISE = {
    "mobilenet-depthwise": "layers --suite mobilenet -k dw --batch 4 --direction forward,input_grad,weight_grad "
    "--peers torch-nhwc"
}

_FEW = {
    f"{suite}-{dtype}-1t": f"layers --suite {suite} --direction forward,input_grad,weight_grad --dtype {dtype} "
    "--peers torch-nhwc,torch-nchw,onnxruntime,jax"
    for suite in ("filters", "few")
    for dtype in DTYPES
}

_STACKS = {
    f"stack-{network}-{dtype}-{threads}t": f"stack {network} --dtype {dtype} --threads {threads} --peers "
    "torch-nhwc,torch-nchw,onnxruntime,jax,im2col"
    for network in ("resnet50", "vgg16")
    for dtype in DTYPES
    for threads in THREADS
}

_ACCURACY = {
    f"accuracy-{name}-{dtype}": f"accuracy --suite {suite} --dtype {dtype}"
    for name, suite in (("resnet50", "resnet50"), ("vgg16", "vgg16"), ("cifar", "cifar -k 5x5"))
    for dtype in DTYPES
}

RUNS = {
    "tour": "tour --threads 2",
    **_STACKS,
    **_LAYERS,
    **_SPEEDUPS,
    **_LIMITS,
    **_POOLS,
    **_DEPTHWISE,
    **_FEW,
    **{f"overhead-{dtype}": f"overhead --dtype {dtype}" for dtype in DTYPES},
    **{f"choice-{dtype}": f"choice --batch 1,4,32 --dtype {dtype}" for dtype in DTYPES},
    **_ACCURACY,
    "digits-winograd": "digits --seeds 5 --dtype float32 --algorithm direct,winograd",
    "scaling": "scaling --peers cyconv-out,torch-nhwc,onnxruntime,jax,im2col",
    "scaling-direct": "scaling batch,size --direction both --algorithm direct --peers cyconv-out",
    "memory": "memory",
    "memory-2t": "memory --threads 2",
    "memory-resnet50": "memory --suite resnet50 --batch 4 --peers none",
    "memory-resnet50-direct": "memory --suite resnet50 --batch 4 --peers none --algorithm direct",
    "memory-pool": "memory --suite pool --batch 4 --peers none",
}
