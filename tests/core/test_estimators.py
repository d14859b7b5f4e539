"""Networks as scikit-learn estimators, used as scikit-learn's users use them."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import check_estimator

import cnnframe as cf
from cnnframe.estimators import CNNClassifier, CNNFeatures

OPS = cf.load()
make = OPS.make
IMAGES, LABELS = cf.data.digits()
IMAGES, LABELS = IMAGES[:200].astype(np.float32), LABELS[:200]
ROWS = IMAGES.reshape(200, -1)
LAYERS = [make("conv", maps=3, size=3), make("relu"), make("mean_pool", size=2, stride=2), make("flatten")]
QUICK = {"epochs": 3, "random_state": 0}


def fitted(**more):
    return CNNClassifier(LAYERS, **QUICK, **more).fit(IMAGES, LABELS)


@pytest.fixture(scope="module")
def classifier():
    return fitted()


# scikit-learn leaves these checks out without pandas, and without arrays of another library.
NOT_INSTALLED = {"check_array_api_input", "check_classifier_data_not_an_array", "check_transformer_data_not_an_array"}


class TestTheClassifier:
    def test_scikit_learn_s_checks_pass(self):
        results = check_estimator(CNNClassifier(epochs=10, random_state=0), on_skip=None)
        assert len(results) > 40
        assert {result["status"] for result in results if result["check_name"] not in NOT_INSTALLED} == {"passed"}

    def test_it_learns_digits(self):
        network = CNNClassifier(epochs=15, batch_size=16, random_state=0).fit(IMAGES[:150], LABELS[:150])
        assert network.score(IMAGES[150:], LABELS[150:]) > 0.8  # 0.1 by chance
        assert [epoch.number for epoch in network.history_] == list(range(1, 16))
        assert network.history_[-1].train_loss < network.history_[0].train_loss

    def test_rows_with_a_shape_are_the_images(self, classifier):
        rows = CNNClassifier(LAYERS, image_shape=(1, 8, 8), **QUICK).fit(ROWS, LABELS)
        assert rows.image_shape_ == classifier.image_shape_ == (1, 8, 8)
        assert np.array_equal(rows.predict_proba(ROWS), classifier.predict_proba(IMAGES))
        assert np.array_equal(rows.predict_proba(ROWS), classifier.predict_proba(ROWS))

    def test_probabilities_are_the_softmax_of_the_executor_s_logits(self, classifier):
        scaled = ((IMAGES - np.float64(IMAGES.mean(dtype=np.float64))) / IMAGES.std(dtype=np.float64)).astype(np.float32)
        logits = cf.Executor(classifier.graph_, kernels=()).predict(classifier.parameters_, x=scaled).astype(np.float64)
        wanted = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        found = classifier.predict_proba(IMAGES)
        assert found.dtype == np.float32
        # Logits of a sum of 28 terms, and what the scaled images are rounded by before it.
        np.testing.assert_allclose(found, wanted, rtol=0, atol=2.0**-24 * 64 * np.abs(logits).max())
        assert np.array_equal(classifier.predict(IMAGES), classifier.classes_[found.argmax(axis=1)])

    def test_labels_may_be_strings_and_one_may_be_missing_later(self):
        names = np.array(["no", "yes", "maybe"])[LABELS % 3]
        network = CNNClassifier(LAYERS, **QUICK).fit(IMAGES, names)
        assert network.classes_.tolist() == ["maybe", "no", "yes"]
        some = names != "yes"
        assert 0 <= network.score(IMAGES[some], names[some]) <= 1
        assert network.predict_proba(IMAGES[some]).shape == (some.sum(), 3)

    def test_the_same_random_state_gives_the_same_network(self, classifier):
        assert np.array_equal(fitted().parameters_.vector, classifier.parameters_.vector)
        other = CNNClassifier(LAYERS, epochs=3, random_state=1).fit(IMAGES, LABELS)
        assert not np.array_equal(other.parameters_.vector, classifier.parameters_.vector)

    def test_the_element_type_of_the_examples_is_that_of_the_network(self, classifier):
        assert classifier.parameters_.dtype == np.float32
        assert CNNClassifier(LAYERS, **QUICK).fit(IMAGES.astype(np.float64), LABELS).parameters_.dtype == np.float64

    def test_it_can_be_cloned_and_pickled(self, classifier):
        again = pickle.loads(pickle.dumps(classifier))  # noqa: S301 # scikit-learn's users pickle estimators
        assert np.array_equal(again.predict_proba(IMAGES), classifier.predict_proba(IMAGES))
        copy = clone(classifier).set_params(rate=0.1)
        assert copy.get_params()["rate"] == 0.1
        assert copy.get_params()["network"] == LAYERS
        with pytest.raises(NotFittedError):
            copy.predict(IMAGES)

    def test_there_are_no_sample_weights(self):
        with pytest.raises(TypeError, match="sample_weight"):
            CNNClassifier().fit(ROWS, LABELS, sample_weight=np.ones(200))

    def test_a_data_frame_gives_names_of_features(self):
        pandas = pytest.importorskip("pandas", reason="pandas is no dependency of cnnframe")
        frame = pandas.DataFrame(ROWS, columns=[f"pixel{i}" for i in range(64)])
        network = CNNClassifier(LAYERS, image_shape=(1, 8, 8), **QUICK).fit(frame, LABELS)
        assert network.feature_names_in_[5] == "pixel5"
        assert np.array_equal(network.predict(frame), CNNClassifier(LAYERS, image_shape=(1, 8, 8), **QUICK).fit(ROWS, LABELS).predict(ROWS))
        with pytest.raises(ValueError, match="feature names"):
            network.predict(frame[frame.columns[::-1]])


def by_function(registry, inputs, classes):
    return cf.Graph.chain(
        registry.make("flatten"), registry.make("dense", units=classes), inputs=inputs, loss=registry.make("softmax_cross_entropy", targets="index")
    )


GRAPH = by_function(OPS, "n 1 8 8", 10)


class TestNetworks:
    @pytest.mark.parametrize(
        ("network", "operations"),
        [
            (None, ["conv", "relu", "max_pool", "flatten", "dense", "softmax_cross_entropy"]),
            (LAYERS, ["conv", "relu", "mean_pool", "flatten", "dense", "softmax_cross_entropy"]),
            (tuple(LAYERS), ["conv", "relu", "mean_pool", "flatten", "dense", "softmax_cross_entropy"]),
            (by_function, ["flatten", "dense", "softmax_cross_entropy"]),
            (GRAPH, ["flatten", "dense", "softmax_cross_entropy"]),
        ],
        ids=["none", "list", "tuple", "function", "graph"],
    )
    def test_a_network_can_be_said_in_many_ways(self, network, operations):
        made = CNNClassifier(network, epochs=1, random_state=0).fit(IMAGES, LABELS)
        assert [node.op.name for node in made.graph_.nodes] == operations

    def test_a_network_of_the_box_goes_by_its_name(self):
        doubled = cf.data.double(IMAGES[:40])
        made = CNNClassifier("bouvrie", epochs=1, random_state=0).fit(doubled, LABELS[:40] % 3)
        assert made.graph_.axes[made.graph_.output] == "n 3"
        assert made.predict(doubled).shape == (40,)

    @pytest.mark.parametrize("shape", [(1, 8, 8), (2, 5), (1, 4, 4, 4), (3, 1, 2), (7,)])
    def test_the_usual_network_fits_images_of_any_size(self, shape):
        x = np.random.default_rng(0).normal(size=(12, *shape))
        made = CNNClassifier(epochs=1, random_state=0).fit(x, np.arange(12) % 2)
        assert made.image_shape_ == shape
        assert made.predict_proba(x).shape == (12, 2)

    def test_dropout_drops_in_training_alone(self):
        network = CNNClassifier([make("flatten"), make("dropout", rate=0.5)], **QUICK).fit(IMAGES, LABELS)
        assert np.array_equal(network.predict_proba(IMAGES), network.predict_proba(IMAGES))

    @pytest.mark.parametrize(
        ("more", "error", "message"),
        [
            ({"network": 3}, cf.HyperparameterError, "network must be None, a name .* got 3"),
            ({"network": "bouvri"}, cf.UnknownNameError, "did you mean 'bouvrie'"),
            ({"network": "bouvrie"}, cf.ShapeError, r"one input with axes \(n 1 8 8\); it takes x \(n 1 16 16\)"),
            ({"network": [3]}, cf.HyperparameterError, "made of layers and activations; got 3"),
            ({"network": [make("softmax_cross_entropy")]}, cf.HyperparameterError, "outputs and loss are added"),
            ({"network": lambda *_: 3}, cf.HyperparameterError, "must return a Graph; got 3"),
            ({"network": cf.Graph.chain(make("flatten"), inputs="n 1 8 8")}, cf.GraphError, "needs one loss, .* got none"),
            ({"network": cf.networks.bouvrie(OPS)}, cf.GraphError, "needs one loss, .* got SquaredError"),
            ({"network": by_function(OPS, "n 1 8 8", 7)}, cf.ShapeError, r"must have axes \(n 10\), one for each class; got \(n 7\)"),
            ({"network": [make("batch_norm"), make("flatten")]}, cf.GraphError, "batch_norm1 keeps statistics of the batch"),
            ({"network": [make("conv", maps=2, size=9), make("flatten")]}, cf.ShapeError, "the input is too small"),
            ({"image_shape": (1, 8, 9)}, cf.ShapeError, r"image_shape \(1, 8, 9\) has 72 entries; examples have \(1, 8, 8\)"),
            ({"image_shape": 8}, cf.HyperparameterError, "image_shape must be a tuple such as"),
            ({"image_shape": (0,)}, cf.HyperparameterError, "image_shape must be an integer of at least 1; got 0"),
            ({"epochs": 0}, cf.HyperparameterError, "epochs must be an integer of at least 1; got 0"),
            ({"batch_size": 0}, cf.HyperparameterError, "batch_size"),
            ({"rate": -1.0}, cf.HyperparameterError, "rate must be finite and at least 0"),
            ({"decay": 2.0}, cf.HyperparameterError, "factor must be greater than 0 and at most 1"),
            ({"optimizer": 3}, cf.HyperparameterError, "optimizer must be an Optimizer"),
            ({"optimizer": "sdg"}, cf.UnknownNameError, "did you mean 'sgd'"),
            ({"standardise": "image"}, cf.HyperparameterError, "standardise must be one of 'auto', 'feature', 'all', None; got 'image'"),
            ({"rate": 1e30}, cf.NonFiniteError, "lower the rate"),
        ],
    )
    def test_what_is_wrong_is_told_by_fit(self, more, error, message):
        with pytest.raises(error, match=message):
            CNNClassifier(**QUICK | more).fit(IMAGES, LABELS)

    def test_other_images_than_those_of_the_training_are_refused(self, classifier):
        with pytest.raises(cf.ShapeError, match=r"images must have axes \(n, 1, 8, 8\), .* got \(2, 8, 4\)"):
            classifier.predict(np.zeros((3, 2, 8, 4)))
        with pytest.raises(ValueError, match="X has 5 features"):
            classifier.predict(np.zeros((3, 5)))


class TestTheFeatures:
    def test_scikit_learn_s_checks_pass(self):
        results = check_estimator(CNNFeatures(CNNClassifier(epochs=1, random_state=0)), on_skip=None)
        assert len(results) > 40
        assert {result["status"] for result in results if result["check_name"] not in NOT_INSTALLED} == {"passed"}

    def test_they_are_the_activations_of_a_node(self, classifier):
        for node, width in (("conv1", 3 * 6 * 6), ("mean_pool1", 3 * 3 * 3), ("dense1", 10)):
            found = CNNFeatures(classifier, node, prefit=True).fit(IMAGES).transform(IMAGES)
            assert found.shape == (200, width)
            assert np.array_equal(found, classifier.activations(IMAGES, node).reshape(200, -1))

    def test_before_the_outputs_unless_said_otherwise(self, classifier):
        features = CNNFeatures(classifier, prefit=True).fit(IMAGES)
        assert features.node_ == "flatten1"
        assert features.get_feature_names_out()[:2].tolist() == ["cnnfeatures0", "cnnfeatures1"]

    def test_a_dense_layer_on_them_gives_the_network_s_logits(self, classifier):
        features = CNNFeatures(classifier, prefit=True).fit(IMAGES).transform(IMAGES)
        logits = features @ classifier.parameters_["dense1.W"].T + classifier.parameters_["dense1.b"]
        np.testing.assert_allclose(logits, classifier.activations(IMAGES, "dense1"), rtol=0, atol=2.0**-24 * 2 * 28 * np.abs(features).max() * 27)

    def test_what_is_wrong_is_told(self, classifier):
        for node, error, message in (("conv2", cf.UnknownNameError, "did you mean 'conv1'"), ("loss", cf.GraphError, "must not be the loss 'loss'")):
            with pytest.raises(error, match=message):
                CNNFeatures(classifier, node, prefit=True).fit(IMAGES)
        with pytest.raises(cf.HyperparameterError, match="classifier must be a CNNClassifier; got SVC"):
            CNNFeatures(SVC()).fit(IMAGES, LABELS)
        with pytest.raises(NotFittedError):
            CNNFeatures(CNNClassifier(), prefit=True).fit(IMAGES)


class TestInTheHandsOfItsUsers:
    def test_a_grid_over_the_rate(self):
        search = GridSearchCV(CNNClassifier(LAYERS, image_shape=(1, 8, 8), **QUICK), {"rate": [1e-6, 0.05]}, cv=2).fit(ROWS, LABELS)
        assert search.best_params_ == {"rate": 0.05}

    def test_in_a_pipeline_with_folds(self):
        steps = make_pipeline(StandardScaler(), CNNClassifier(LAYERS, image_shape=(1, 8, 8), standardise=None, epochs=10, random_state=0))
        assert cross_val_score(steps, ROWS, LABELS, cv=2).min() > 0.5  # 0.1 by chance

    def test_features_feed_a_support_vector_machine(self):
        steps = make_pipeline(CNNFeatures(CNNClassifier(LAYERS, image_shape=(1, 8, 8), **QUICK)), StandardScaler(), SVC()).fit(ROWS[:150], LABELS[:150])
        assert steps.score(ROWS[150:], LABELS[150:]) > 0.7  # 0.1 by chance

    def test_a_trained_classifier_becomes_a_file(self, classifier, tmp_path):
        pytest.importorskip("onnx")
        assert cf.export.onnx(classifier.graph_, classifier.parameters_, tmp_path / "digits.onnx").difference < 1

    def test_without_scikit_learn_it_says_what_to_install(self):
        code = "import sys; sys.modules['sklearn'] = None; import cnnframe\ntry: from cnnframe.estimators import CNNClassifier\n"
        code += "except cnnframe.MissingPackageError as error: print(error)"
        printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert printed.startswith("cnnframe.estimators needs scikit-learn (")
        assert printed.endswith("install it with: pip install 'cnnframe[sklearn]'\n")
