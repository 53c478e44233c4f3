"""The spam demo on the real corpus."""

from __future__ import annotations

import re
from collections import Counter

import torch

from demo_models.mail import SHOWN_CHARACTERS
from influence_core.project import Project


def test_every_mail_is_there_under_its_own_name(spam: Project) -> None:
    keys = [*spam.keys("train"), *spam.keys("test")]
    assert all(re.fullmatch(r"(easy-ham-[12]|hard-ham-1|spam-[12])/\d{5}", key) for key in keys)
    assert Counter(key.split("/")[0] for key in keys) == {
        "easy-ham-1": 2500, "easy-ham-2": 1400, "hard-ham-1": 250, "spam-1": 500, "spam-2": 1396,
    }  # fmt: skip


def test_labels_and_groups_follow_the_name(spam: Project) -> None:
    for split, metadata in (("train", spam.train_metadata), ("test", spam.test_metadata)):
        keys = spam.keys(split)
        assert metadata["group"].tolist() == [key.split("/")[0] for key in keys]
        assert spam.split(split).labels.tolist() == [int(key.startswith("spam")) for key in keys]


def test_wanted_mails_called_spam_come_first_the_most_confident_at_the_top(spam: Project) -> None:
    probability = spam.model(spam.test.inputs.double()).softmax(dim=1)[:, 1].detach()
    labels = spam.test.labels
    called_spam = [i for i in range(len(labels)) if labels[i] == 0 and probability[i] > 0.5]
    missed = [i for i in range(len(labels)) if labels[i] == 1 and probability[i] < 0.5]
    assert len(called_spam) >= 5
    assert len(missed) >= 5
    expected = sorted(called_spam, key=lambda i: -probability[i]) + sorted(missed, key=lambda i: probability[i])
    assert list(spam.test_first) == expected
    assert probability[spam.test_first[0]] > 0.8


def test_no_test_mail_has_a_copy_in_the_training_data(spam: Project) -> None:
    def letters(shown: str) -> str:
        subject, rest = shown.split("\nFrom: ", 1)
        return re.sub(r"[\W\d_]+", "", (subject + rest.split("\n\n", 1)[1]).lower())

    train = {letters(text) for text in spam.view.train}
    assert not train & {letters(text) for text in spam.view.test}
    assert len(train) < len(spam.train)  # twins are kept


def test_texts_are_readable_and_bounded(spam: Project) -> None:
    texts = [*spam.view.train, *spam.view.test]
    for text in texts:
        assert text.startswith("Subject: ")
        body = text.split("\n\n", 1)[1]
        assert body
        assert len(body) < SHOWN_CHARACTERS + 60
        text.encode("utf-8")
    assert sum("<td" in text.lower() for text in texts) < 10  # those that quote HTML


def test_inputs_are_stored_small_and_have_length_one(spam: Project) -> None:
    assert spam.train.inputs.dtype == torch.float32
    lengths = spam.train.inputs.norm(dim=1)
    assert torch.all((lengths == 0) | ((lengths - 1).abs() < 1e-5))
    assert (lengths == 0).sum() < 10
