"""Recipes: a network, its data and how it is trained, as tables that TOML holds.

    [network]
    name = "lenet5"
    loss = "squared_error"

    [data]
    source = "idx"
    folder = "mnist"
    scaling = "lecun"
    coding = "-1/+1"

    [training]
    epochs = 20
    batch_size = 16
    rate = {schedule = "steps", steps = [[2, 5e-4], [3, 2e-4], [3, 1e-4], [4, 5e-5], [8, 1e-5]]}

    [optimizer]
    name = "sgd"
    momentum = 0.9

The rate of some layers may be given by name, as in `rate = {conv1 = 0.1, others = 0.01}`; without `others` those have the rate that they would have.

What is left out is as the network's recipe has it, or as `usual` says. In place of a name, [network] may hold a whole graph, in the tables of
`Graph.to_toml`. `Job.spelled_out` makes the one of the other.
Further tables: [initial] with initialisers by role or array, and [distortion] with the fields of `data.Distortion`.
"""

from __future__ import annotations

from ._data import Loaded as Loaded
from ._data import load_examples as load_examples
from ._job import Job as Job
from ._notes import TrainedRun as TrainedRun
from ._notes import about as about
from ._notes import environment_changes as environment_changes
from ._notes import notes as notes
from ._notes import recipe_of as recipe_of
from ._tables import checked as checked
from ._tables import merged as merged
from ._tables import read as read
from ._tables import to_toml as to_toml
from ._use import INKS as INKS
from ._use import Judged as Judged
from ._use import examples_of as examples_of
from ._use import judge as judge
from ._use import own_pictures as own_pictures
from ._use import parameters_of as parameters_of
from ._usual import usual as usual
