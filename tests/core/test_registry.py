"""Plugins: found, checked, and named when they are wrong."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
import sys
import types
from dataclasses import dataclass

import numpy as np
import pytest

import cnnframe as cf
from cnnframe import Activation, Layer, Optimizer, Registry, hookimpl, load

OPS = load()


def elementwise(name, qualname="Mine"):
    """An activation function, the identity, under any name."""
    body = {"name": name, "f": lambda self, x: np.copy(x), "df": lambda self, x, y: np.ones_like(x), "expr": lambda self, x: x}
    return dataclass(frozen=True)(type(qualname, (Activation,), body))


def offering(cls, kind="activations", name="my_plugin"):
    """A plugin object with one hook that offers one class."""

    @hookimpl
    def offer():
        return [cls]

    return types.SimpleNamespace(__name__=name, **{f"cnnframe_{kind}": offer})


SOURCE = '''
"""A plugin."""

from dataclasses import dataclass

import numpy as np

from cnnframe import Activation, hookimpl


@dataclass(frozen=True)
class Mine(Activation):
    """The identity."""

    name = "{name}"

    def f(self, x):
        return np.copy(x)

    def df(self, x, y):
        return np.ones_like(x)

    def expr(self, x):
        return x


@hookimpl
def cnnframe_activations():
    """What it offers."""
    return [Mine]
'''


class Site:
    """A folder on the path with distributions in it, as an installer leaves them."""

    def __init__(self, folder):
        self.folder = folder
        self.modules = []

    def module(self, source):
        name = f"plugin_{self.folder.name}_{len(self.modules)}"
        self.modules.append(name)
        (self.folder / f"{name}.py").write_text(source, encoding="utf-8")
        return name

    def install(self, distribution, points, version="1.2", group="cnnframe", folder=None):
        """Write the metadata of a distribution with entry points, name to value."""
        info = (folder or self.folder) / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n", encoding="utf-8")
        lines = "".join(f"{name} = {value}\n" for name, value in points.items())
        (info / "entry_points.txt").write_text(f"[{group}]\n{lines}", encoding="utf-8")
        return info


@pytest.fixture
def site(tmp_path, monkeypatch):
    folder = Site(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in folder.modules:
        sys.modules.pop(name, None)


# What is there.


def test_the_standard_operations_are_found_with_their_distribution():
    assert {"conv", "dense", "relu", "softmax_cross_entropy", "l2", "sgd"} <= set(OPS)
    entry = OPS.entry("conv")
    assert (entry.distribution, entry.version, entry.kind) == ("cnnframe", importlib.metadata.version("cnnframe"), "layers")
    assert entry.source == f"cnnframe {cf.__version__}"
    assert entry.cls is OPS["conv"] and entry.cls.name == "conv"
    kinds = {name: OPS.entry(name).kind for name in ("relu", "squared_error", "l2", "sgd")}
    assert kinds == {"relu": "activations", "squared_error": "losses", "l2": "regularizers", "sgd": "optimizers"}
    assert all(OPS[name].name == name for name in OPS)


def test_optimizers_and_kernels_are_no_operations():
    assert "sgd" in OPS and "sgd" not in OPS.operations()
    others = {name for name in OPS if OPS.entry(name).kind in ("optimizers", "kernels")}
    assert OPS.operations().keys() | others == OPS.keys() and not others & OPS.operations().keys()
    assert OPS["numpy_conv"] in OPS.kernels and OPS["sgd"] not in OPS.kernels
    with pytest.raises(cf.UnknownNameError, match=r"^numpy_conv is a kernel, .* Executor\(graph, kernels=\[registry\['numpy_conv'\]\]\)$"):
        OPS.make("numpy_conv", size=3)


def test_without_entry_points_there_is_nothing():
    empty = load(entry_points=False)
    assert len(empty) == 0 and list(empty) == [] and empty.skipped == () and repr(empty) == "Registry()"
    with pytest.raises(cf.UnknownNameError, match=r"^nothing is registered as 'conv'; nothing is known; cnnframe list shows all$"):
        empty["conv"]


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("cnov", r"did you mean 'conv'\?"),
        ("Conv", r"did you mean 'conv'\?"),
        ("RELU", r"did you mean 'relu'\?"),
        ("@", r"known are \d+, from add to \w+; cnnframe list shows all$"),
    ],
)
def test_an_unknown_name_gets_the_nearest_known_one(name, end):
    assert name not in OPS
    for ask in (OPS.__getitem__, OPS.entry, OPS.make):
        with pytest.raises(cf.UnknownNameError, match=rf"^nothing is registered as '{name}'; {end}"):
            ask(name)


def test_a_registry_is_a_mapping():
    assert OPS.get("conv") is OPS["conv"]
    assert dict(OPS.items()) == dict(OPS) and len(OPS) == len(list(OPS))
    assert OPS.get("no_such_name") is None
    assert OPS.get("no_such_name", 3) == 3


def test_a_name_that_is_no_text_is_unknown_too():
    assert 3 not in OPS
    with pytest.raises(cf.UnknownNameError, match=r"^nothing is registered as 3; "):
        OPS[3]


def test_a_registry_cannot_be_changed():
    with pytest.raises(TypeError, match="does not support item assignment"):
        OPS["mine"] = elementwise("mine")
    with pytest.raises(TypeError, match="does not support item deletion"):
        del OPS["conv"]
    with pytest.raises(TypeError):
        OPS._entries["mine"] = None
    assert not any(hasattr(OPS, name) for name in ("update", "pop", "setdefault", "clear"))


@pytest.mark.parametrize("name", ["skipped", "other"])
def test_the_attributes_of_a_registry_cannot_be_changed(name):
    registry = load(entry_points=False)
    with pytest.raises((AttributeError, TypeError)):
        setattr(registry, name, ())


def test_a_registry_does_not_follow_the_dict_that_it_was_made_of():
    entries = {"conv": OPS.entry("conv")}
    registry = Registry(entries)
    entries.clear()
    assert list(registry) == ["conv"]


# Plugins that are handed over.


@pytest.mark.parametrize("as_module", [False, True])
def test_a_plugin_may_be_handed_over(as_module):
    cls = elementwise("mine")
    plugin = offering(cls)
    if as_module:
        module = types.ModuleType("my_plugin")
        vars(module).update({key: value for key, value in vars(plugin).items() if key != "__name__"})
        plugin = module
    registry = load(plugin, entry_points=False)
    assert list(registry) == ["mine"] and registry["mine"] is cls and registry.make("mine") == cls()
    assert registry.entry("mine").source == "my_plugin" and registry.entry("mine").version == ""
    assert set(load(plugin)) == {*OPS, "mine"}


def test_a_plugin_without_a_name_goes_by_its_class():
    plugin = offering(elementwise("mine"))
    del plugin.__name__
    assert load(plugin, entry_points=False).entry("mine").distribution == "SimpleNamespace"


def test_a_hook_may_return_any_iterable():
    @hookimpl
    def offer():
        yield elementwise("mine")
        yield elementwise("yours")

    assert list(load(types.SimpleNamespace(cnnframe_activations=offer), entry_points=False)) == ["mine", "yours"]


def test_functions_that_are_no_hooks_are_left_alone():
    plugin = offering(elementwise("mine"))
    plugin.cnnframe_layer = lambda: 1 / 0
    assert list(load(plugin, entry_points=False)) == ["mine"]


def test_two_calls_share_nothing():
    with_mine = load(offering(elementwise("mine")))
    assert "mine" in with_mine and "mine" not in load() and "mine" not in OPS
    assert load(offering(elementwise("mine")))["mine"] is not with_mine["mine"]
    assert load()._entries is not load()._entries


@pytest.mark.parametrize("name", ["cnnframe_layer", "cnnframe_Layers", "cnnframe_activation"])
def test_a_misspelt_hook_is_named_with_the_nearest(name):
    @hookimpl
    def offer():
        return []

    wanted = "cnnframe_activations" if "activation" in name else "cnnframe_layers"
    with pytest.raises(cf.PluginError, match=rf"^my_plugin implements the hook '{name}', which does not exist; did you mean '{wanted}'\?$"):
        load(types.SimpleNamespace(__name__="my_plugin", **{name: offer}), entry_points=False)


def test_a_hook_that_is_no_hook_of_ours_lists_them():
    plugin = types.SimpleNamespace(__name__="my_plugin", zzz=offering(OPS["relu"]).cnnframe_activations)
    with pytest.raises(
        cf.PluginError, match=r"^my_plugin implements the hook 'zzz', which does not exist; known: cnnframe_activations, cnnframe_kernels, cnnframe_layers"
    ):
        load(plugin, entry_points=False)


def test_a_hook_with_arguments_is_refused():
    @hookimpl
    def offer(registry):
        return []

    with pytest.raises(cf.PluginError, match=r"my_plugin.*cnnframe_layers.*"):
        load(types.SimpleNamespace(__name__="my_plugin", cnnframe_layers=offer), entry_points=False)


def raising(error):
    @hookimpl
    def offer():
        raise error

    return types.SimpleNamespace(__name__="my_plugin", cnnframe_layers=offer)


def test_a_hook_that_raises_is_named():
    with pytest.raises(
        cf.PluginError, match=r"^my_plugin: the hook cnnframe_layers failed: ZeroDivisionError: never \(test_registry.py, line \d+\)$"
    ) as caught:
        load(raising(ZeroDivisionError("never")), entry_points=False)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_hook_that_exits_is_named():
    with pytest.raises(cf.PluginError, match=r"^my_plugin: the hook cnnframe_layers failed: SystemExit: 3 \(test_registry.py, line \d+\)$"):
        load(raising(SystemExit(3)), entry_points=False)


def test_a_hook_that_returns_nothing_is_named():
    for answer, got in ((None, "NoneType"), (Layer, "the class Layer"), ("mine", "str")):
        with pytest.raises(cf.PluginError, match=rf"^my_plugin: the hook cnnframe_layers must return a list of classes; got {got}$"):
            load(types.SimpleNamespace(__name__="my_plugin", cnnframe_layers=hookimpl(lambda answer=answer: answer)), entry_points=False)


def test_a_declaration_that_fails_within_a_hook_says_so():
    @hookimpl
    def offer():
        return [elementwise("my name")]

    with pytest.raises(cf.DeclarationError, match=r"Mine\.name must be an identifier; got 'my name'$"):
        load(types.SimpleNamespace(__name__="my_plugin", cnnframe_activations=offer), entry_points=False)


class Bare(Activation):
    name = "bare"

    def f(self, x):
        return x

    def df(self, x, y):
        return x

    def expr(self, x):
        return x


@dataclass
class Thawed(Optimizer):
    name = "thawed"

    def init(self, parameters):
        return ()

    def step(self, parameters, gradients, state, rate):
        return parameters, state


@dataclass(frozen=True)
class Half(Layer):
    name = "half"
    inputs = {"x": "n"}
    output = "n"

    def forward(self, x):
        return x, None


OFFERED = {
    "text": ("layers", "conv", r"^my_plugin: cnnframe_layers offers 'conv', which is no Layer class$"),
    "value": ("activations", OPS.make("relu"), r"^my_plugin: cnnframe_activations offers ReLU\(\), which is no Activation class$"),
    "function": ("losses", elementwise, r"^my_plugin: cnnframe_losses offers <function elementwise .*>, which is no Loss class$"),
    "other kind": ("layers", OPS["relu"], r"^my_plugin: cnnframe_layers offers <class '.*ReLU'>, which is no Layer class$"),
    "other class": ("optimizers", dict, r"^my_plugin: cnnframe_optimizers offers <class 'dict'>, which is no Optimizer class$"),
    "abstract": ("layers", Half, r"^my_plugin: \S+\.Half lacks formula$"),
    "the base itself": ("layers", Layer, r"^my_plugin: cnnframe\._op\.Layer lacks formula, forward$"),
    "not decorated": ("activations", Bare, r"^my_plugin: \S*Bare must be decorated with @dataclass\(frozen=True\)$"),
    "not frozen": ("optimizers", Thawed, r"^my_plugin: \S*Thawed must be decorated with @dataclass\(frozen=True\)$"),
}


@pytest.mark.parametrize("case", OFFERED)
def test_refuses_what_a_hook_offers(case):
    kind, offered, message = OFFERED[case]
    with pytest.raises(cf.DeclarationError, match=message):
        load(offering(offered, kind), entry_points=False)


def test_refuses_a_class_without_a_name():
    body = {"f": lambda self, x: x, "df": lambda self, x, y: x, "expr": lambda self, x: x}
    with pytest.raises(cf.DeclarationError, match=r"^my_plugin: \S+\.Nameless lacks a name$"):
        load(offering(dataclass(frozen=True)(type("Nameless", (Activation,), body))), entry_points=False)


def test_two_plugins_offer_one_name():
    plugins = offering(elementwise("mine", "First"), name="one"), offering(elementwise("mine", "Second"), name="two")
    with pytest.raises(cf.PluginError, match=r"^'mine' is offered twice: by one \(\S+\.First\) and by two \(\S+\.Second\); rename one or uninstall"):
        load(*plugins, entry_points=False)


def test_kinds_share_their_names():
    body = {"name": "mine", "init": lambda self, parameters: (), "step": lambda self, parameters, gradients, state, rate: (parameters, state)}
    optimizer = dataclass(frozen=True)(type("Rule", (Optimizer,), body))
    with pytest.raises(cf.PluginError, match=r"^'mine' is offered twice: by one \(\S+\.Mine\) and by two \(\S+\.Rule\)"):
        load(offering(elementwise("mine"), name="one"), offering(optimizer, "optimizers", name="two"), entry_points=False)


def test_a_plugin_that_is_handed_over_twice_is_there_once():
    plugin = offering(elementwise("mine"))
    assert list(load(plugin, plugin, entry_points=False)) == ["mine"]


def test_a_plugin_that_is_installed_and_handed_over_is_there_once(site):
    module = site.module(SOURCE.format(name="mine"))
    site.install("fake-one", {"it": module})
    registry = load(importlib.import_module(module))
    assert registry.entry("mine").source == "fake-one 1.2"


def test_two_plugins_may_have_the_same_name():
    assert list(load(offering(elementwise("mine")), offering(elementwise("yours")), entry_points=False)) == ["mine", "yours"]


def test_refuses_a_name_of_the_standard_operations():
    with pytest.raises(cf.PluginError, match=r"^'relu' is offered twice: by cnnframe 0\.1\.0 \(cnnframe_plugins\.\S+\.ReLU\) and by my_plugin \(\S+\.Mine\)"):
        load(offering(elementwise("relu")))


# Plugins that are installed.


def test_an_installed_plugin_is_found_with_distribution_and_version(site):
    site.install("fake-one", {"it": site.module(SOURCE.format(name="mine"))})
    registry = load(strict=True)
    assert (registry.entry("mine").distribution, registry.entry("mine").version) == ("fake-one", "1.2")
    assert registry.entry("mine").source == "fake-one 1.2"
    assert set(registry) == {*OPS, "mine"} and registry.skipped == OPS.skipped
    assert "mine" not in load(entry_points=False)


def test_an_entry_point_may_name_an_object_in_a_module(site):
    module = site.module(SOURCE.format(name="mine") + "\n\nclass Holder:\n    cnnframe_activations = staticmethod(cnnframe_activations)\n")
    site.install("fake-one", {"it": f"{module}:Holder"})
    assert load().entry("mine").source == "fake-one 1.2"


def test_entry_points_of_other_groups_are_not_imported(site):
    site.install("fake-one", {"it": site.module("raise RuntimeError('imported')")}, group="other")
    assert load(strict=True).skipped == ()


def test_the_first_distribution_on_the_path_shadows_another_version(site, tmp_path):
    new, old = (site.module(SOURCE.format(name="mine")) for _ in range(2))
    site.install("fake-one", {"it": new}, "2.0")
    older = tmp_path / "older"
    site.install("fake-one", {"it": old}, "1.0", folder=older)
    sys.path.append(str(older))  # the fixture puts the path back
    assert load().entry("mine").source == "fake-one 2.0"


def test_the_order_does_not_depend_on_the_path(site):
    for name in ("zeta", "alpha", "Mid"):
        site.install(f"fake-{name}", {"it": site.module(SOURCE.format(name=f"mine_{name}"))})
    found = [name for name in load() if name.startswith("mine_")]
    assert found == sorted(found)
    assert next(iter(load())) in OPS


def test_duplicates_name_both_distributions(site):
    one, two = (site.module(SOURCE.format(name="mine")) for _ in range(2))
    site.install("fake-one", {"it": one}, "1.2")
    site.install("fake-two", {"it": two}, "3.4")
    with pytest.raises(
        cf.PluginError,
        match=rf"^'mine' is offered twice: by fake-one 1\.2 \({one}\.Mine\) and by fake-two 3\.4 \({two}\.Mine\); rename one or uninstall its distribution$",
    ):
        load()


SKIPPED = {
    "raises": ("raise RuntimeError('no driver')", "RuntimeError: no driver"),
    "exits": ("raise SystemExit('good bye')", "SystemExit: good bye"),
    "exits in a call": ("import sys; sys.exit(4)", "SystemExit: 4"),
    "cannot import": ("import no_such_module_anywhere", "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
    "is no Python": ("def (", "SyntaxError: "),
    "breaks a contract": (
        "import cnnframe\n\n\nclass Mine(cnnframe.Layer):\n    name = 'mine'\n    inputs = 'n'\n",
        "Mine.inputs must be a mapping of names to axes; got 'n'",
    ),
}


@pytest.mark.parametrize("case", SKIPPED)
def test_a_plugin_that_cannot_be_imported_is_named_and_skipped(site, case):
    source, reason = SKIPPED[case]
    site.install("fake-bad", {"broken": site.module(source)})
    site.install("fake-good", {"it": site.module(SOURCE.format(name="mine"))})
    registry = load()
    assert set(registry) == {*OPS, "mine"}
    (skipped,) = registry.skipped
    assert (skipped.entry_point, skipped.distribution) == ("broken", "fake-bad")
    assert skipped.reason.startswith(reason)
    assert str(skipped).startswith(f"plugin 'broken' of fake-bad was skipped: {reason}")
    with pytest.raises(cf.PluginError, match=rf"^plugin 'broken' of fake-bad was skipped: {re.escape(reason)}"):
        load(strict=True)


@pytest.mark.parametrize(("value", "reason"), [("no_such_module_anywhere", "ModuleNotFoundError: No module named"), ("{module}:nothing", "AttributeError: ")])
def test_an_entry_point_that_leads_nowhere_is_skipped(site, value, reason):
    site.install("fake-bad", {"broken": value.format(module=site.module(SOURCE.format(name="mine")))})
    (skipped,) = load().skipped
    assert skipped.reason.startswith(reason)


def test_a_keyboard_interrupt_is_not_swallowed(site):
    site.install("fake-bad", {"broken": site.module("raise KeyboardInterrupt")})
    with pytest.raises(KeyboardInterrupt):
        load()


def test_an_installed_plugin_with_a_misspelt_hook_is_named(site):
    site.install("fake-bad", {"it": site.module(SOURCE.format(name="mine").replace("cnnframe_activations", "cnnframe_activation"))})
    with pytest.raises(
        cf.PluginError, match=r"^fake-bad implements the hook 'cnnframe_activation', which does not exist; did you mean 'cnnframe_activations'\?$"
    ):
        load()


def test_an_installed_plugin_whose_hook_raises_is_named(site):
    site.install("fake-bad", {"it": site.module(SOURCE.format(name="mine").replace("return [Mine]", "raise OSError('gone')"))})
    with pytest.raises(cf.PluginError, match=r"^fake-bad: the hook cnnframe_activations failed: OSError: gone \(\w+.py, line \d+\)$"):
        load()


def test_an_installed_class_that_is_not_frozen_is_named_with_its_distribution(site):
    site.install("fake-bad", {"it": site.module(SOURCE.format(name="mine").replace("@dataclass(frozen=True)\n", ""))})
    with pytest.raises(cf.DeclarationError, match=r"^fake-bad: .*Mine must be decorated with @dataclass\(frozen=True\)$"):
        load()


def test_a_distribution_without_metadata_does_not_stop_the_others(site):
    """What an interrupted installation leaves behind."""
    module = site.module(SOURCE.format(name="mine"))
    (site.install("fake-bad", {"it": module}) / "METADATA").unlink()
    site.install("fake-good", {"it": site.module(SOURCE.format(name="yours"))})
    assert {*OPS, "yours"} <= set(load())


def test_a_plugin_without_a_hook_is_not_passed_over_in_silence(site):
    site.install("forgetful", {"forgetful": site.module(SOURCE.replace("@hookimpl\n", "").format(name="mine"))})
    (skipped,) = load().skipped
    assert "forgetful" in str(skipped)
    assert "implements no hook; is @hookimpl missing" in str(skipped)
    with pytest.raises(cf.PluginError, match=r"forgetful.*is @hookimpl missing"):
        load(strict=True)
    with pytest.raises(cf.PluginError, match="object: it implements no hook"):
        load(object())
