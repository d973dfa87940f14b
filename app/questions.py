"""What each picture of a preparation asks, and what its numbers are called, by the name of what was prepared. Pure."""

import re

ASKED = {  # name -> question, and the name of its axis
    "Best": ("What serves best at each width?", "power"),
    "Codebook": ("Which values are shared?", "value"),
    "Codes": ("Which scale does each block have?", "code of the scale"),
    "Columns": ("How much does each part add, columns scaled?", "singular value"),
    "By student": ("What does the student expect?", "probability"),
    "By teacher": ("What does the teacher expect?", "probability"),
    "Channels left": ("How many channels are left?", "channels (%)"),
    "Cores": ("What is in core?", "entry"),
    "Counts": ("How often does each code occur?", "times"),
    "Curve": ("How far should loud inputs be scaled?", "error beside plain rounding"),
    "Curvature": ("Where does the loss bend?", "mean trace of the Hessian"),
    "Densities": ("How much is kept of each layer?", "share kept"),
    "Distance": ("When does the choice settle?", "share that differs"),
    "Energy": ("Where is the energy?", "sum of squares"),
    "Error": ("How much does each output gain?", "error beside nearest rounding"),
    "Errors by magnitude": ("And if the smallest went?", "error of the outputs"),
    "Errors of 4": ("How much is missed in groups of 4?", "error of the outputs"),
    "Errors of 8": ("How much is missed in groups of 8?", "error of the outputs"),
    "Factor": ("What is in factor?", "entry"),
    "First": ("Where did the search begin?", "value"),
    "Fisher": ("What is each output worth, by Fisher?", "nats"),
    "Flipped": ("Which weights round the other way?", "levels"),
    "Gamma": ("How far is each output scaled?", "scale γ"),
    "Going": ("How much of this layer goes?", "removed of this layer"),
    "Groups left": ("How many inputs differ?", "groups (%)"),
    "Growth": ("Do terms cancel one another?", "largest term beside the weight"),
    "High": ("How far up do weights reach?", "largest value"),
    "Images": ("Which images teach?", "pixel"),
    "Inputs dropped": ("How many inputs go?", "inputs (%)"),
    "Into": ("Which mixes of inputs matter?", "entry"),
    "Lamp densities": ("How much is kept of each layer by LAMP?", "share kept"),
    "Largest": ("How large is the largest of each block?", "magnitude"),
    "Layer bits": ("Who gets how many bits?", "bits per weight"),
    "Layers left": ("What is left of each layer?", "weights (%)"),
    "Left": ("What is in the left factor?", "entry"),
    "Lengths": ("How long is each code word?", "bits"),
    "Likelihood": ("Did the fit settle?", "log-likelihood"),
    "Looked at": ("Which inputs are looked at?", "weights"),
    "Loudness": ("How loud is each input?", "size of the input"),
    "Low": ("How far down do weights reach?", "least value"),
    "Magnitude": ("How large are the weights?", "magnitude"),
    "Mean": ("How large are weights on average?", "mean magnitude"),
    "Mean output": ("How loud is each output?", "mean output"),
    "Moved": ("Which weights went to another level?", "levels"),
    "Norms": ("How strong is each output?", "norm"),
    "Often": ("How long are the runs?", "runs"),
    "Out": ("Which mixes of outputs matter?", "entry"),
    "Patterns": ("Which patterns were found?", "kept"),
    "Peaks": ("How far does each input go?", "largest value"),
    "Plain": ("How much does each part add, as it is?", "singular value"),
    "Positive": ("How much is missed after a ReLU?", "relative error"),
    "Pruned": ("What is left of the weights?", "weight"),
    "Rank sizes": ("How large is the first, the second… of each group?", "mean of its rank"),
    "Recoded": ("How many codes moved?", "codes (%)"),
    "Refitted": ("And fitted to what the ReLU leaves?", "relative error"),
    "Right": ("What is in the right factor?", "entry"),
    "Scale": ("How far apart are the levels?", "scale"),
    "Scales": ("How far is each channel scaled?", "scale"),
    "Scores": ("Which weights matter?", "score"),
    "Similarity": ("Which inputs are alike?", "similarity"),
    "Singular": ("How much does each part add?", "singular value"),
    "Skeletonization": ("What is each output worth, by its gate?", "nats"),
    "Sizes of inputs": ("How loud is each input?", "root of the mean square"),
    "Squared error": ("How much is missed?", "squared error"),
    "Start": ("Where did the zero points begin?", "zero point"),
    "Strength": ("How strong is each component?", "root of the mean square"),
    "Taylor": ("What is each output worth, by Taylor?", "nats"),
    "Top": ("Which power of two is the largest?", "exponent + 127"),
    "Used": ("How often is each code used?", "weights (%)"),
    "Values": ("How large are the weights kept apart?", "weight"),
    "Whitened": ("How much does each part add, inputs whitened?", "singular value"),
    "Whole": ("What is the last bit worth if nothing overflows?", "power of two"),
    "Words": ("What are the codewords?", "entry"),
    "Worth": ("What is each output worth?", "worth"),
    "Zero": ("Which code stands for zero?", "zero point"),
    "Zeros": ("How often is each output zero?", "share of zeros"),
}


def asked(name: str) -> tuple[str, str]:
    """A question for a name, and what its axis is called; a name that is not known is asked for how large it is.

    >>> asked("Singular"), asked("Cores 1 of 3")[0], asked("Low, turned")[0], asked("Spring")[0]
    (('How much does each part add?', 'singular value'), 'What is in core 1 of 3?', 'How far down do weights reach, turned?', 'How large is spring?')
    """
    plain, _, within = name.partition(", ")
    base, number = re.fullmatch(r"(.+?)( \d+ of \d+)?", plain).groups()  # type: ignore[union-attr]
    question, axis = ASKED.get(base, (f"How large is {base.lower()}?", base.lower()))
    return f"{question[:-1]}{number or ''}{f', {within}' if within else ''}?", axis
