"""One test for each operation and promise."""

from cnnframe_derivations import promises
from cnnframe_extras import Depthwise, ElasticNet, Gated, Swish

test_promises = promises(Depthwise, Gated, Swish, ElasticNet)
