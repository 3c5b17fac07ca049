"""What is measured of a teacher alone that may predict S. test loss, beside T. stddev (`trainer.stddev`).

`trainer.predictors.answers` is measured by every stddev trial, `trainer.predictors.own` are a researcher's own.
"""
