"""Convolutional features for a support vector machine, after Huang and LeCun (2006).

A network is trained on the embedded digits. Then a support vector machine takes what the network sees before its layer of outputs, in a
pipeline of scikit-learn, and is set beside the network alone and a support vector machine on pixels.

Run it from any folder: python digits_svm.py [EPOCHS]
"""

from __future__ import annotations

import sys

from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import cnnframe as cf
from cnnframe.estimators import CNNClassifier, CNNFeatures


def main(epochs: int) -> None:
    """Train the three of them on four fifths of the digits and print how many of the others each gets right."""
    ops = cf.load()
    images, labels = cf.data.digits()
    data = cf.data.split(images.astype("float32"), labels, test=0.2, seed=0)
    layers = [
        ops.make("conv", maps=12, size=3),
        ops.make("relu"),
        ops.make("max_pool", size=2, stride=2),
        ops.make("flatten"),
    ]
    network = CNNClassifier(layers, epochs=epochs, batch_size=16, random_state=0).fit(data.train_images, data.train_labels)

    def pixels(part):
        return part.reshape(len(part), -1)

    on_pixels = SVC().fit(pixels(data.train_images), data.train_labels)
    on_features = make_pipeline(CNNFeatures(network, prefit=True), StandardScaler(), SVC()).fit(data.train_images, data.train_labels)

    count = len(data.test_labels)
    for name, score in (
        ("network alone", network.score(data.test_images, data.test_labels)),
        ("SVM on pixels", on_pixels.score(pixels(data.test_images), data.test_labels)),
        ("SVM on features", on_features.score(data.test_images, data.test_labels)),
    ):
        print(f"{name:15}  {score:.1%} of {count} held-out digits right")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
