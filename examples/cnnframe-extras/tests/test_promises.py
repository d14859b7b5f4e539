"""One test for each operation and promise."""

from cnnframe_derivations import promises
from cnnframe_extras import Depthwise, ElasticNet, Swish

test_promises = promises(Depthwise, Swish, ElasticNet)
