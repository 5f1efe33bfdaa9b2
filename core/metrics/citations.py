"""BibTeX of what the built-in metrics are cited by."""

from __future__ import annotations

from .base import Metric

CITATIONS = {
    "gehman2020realtoxicityprompts": """@inproceedings{gehman2020realtoxicityprompts,
  title = {{RealToxicityPrompts}: Evaluating Neural Toxic Degeneration in Language Models},
  author = {Gehman, Samuel and Gururangan, Suchin and Sap, Maarten and Choi, Yejin and Smith, Noah A.},
  booktitle = {Findings of the Association for Computational Linguistics: EMNLP 2020},
  year = {2020}
}""",
    "zou2023universal": """@misc{zou2023universal,
  title = {Universal and Transferable Adversarial Attacks on Aligned Language Models},
  author = {Zou, Andy and Wang, Zifan and Carlini, Nicholas and Nasr, Milad and Kolter, J. Zico and Fredrikson, Matt},
  year = {2023},
  eprint = {2307.15043},
  archivePrefix = {arXiv}
}""",
    "liang2023helm": """@article{liang2023helm,
  title = {Holistic Evaluation of Language Models},
  author = {Liang, Percy and others},
  journal = {Transactions on Machine Learning Research},
  year = {2023}
}""",
    "jain2024polyglotoxicityprompts": """@inproceedings{jain2024polyglotoxicityprompts,
  title = {{PolygloToxicityPrompts}: Multilingual Evaluation of Neural Toxic Degeneration in Large Language Models},
  author = {Jain, Devansh and Kumar, Priyanshu and Gehman, Samuel and Zhou, Xuhui and Hartvigsen, Thomas and Sap,
    Maarten},
  booktitle = {Conference on Language Modeling},
  year = {2024}
}""",
    "liu2021dexperts": """@inproceedings{liu2021dexperts,
  title = {{DExperts}: Decoding-Time Controlled Text Generation with Experts and Anti-Experts},
  author = {Liu, Alisa and Sap, Maarten and Lu, Ximing and Swayamdipta, Swabha and Bhagavatula, Chandra and Smith,
    Noah A. and Choi, Yejin},
  booktitle = {Proceedings of ACL-IJCNLP 2021},
  year = {2021}
}""",
    "gao2021pile": """@article{gao2021pile,
  title = {The Pile: An 800{GB} Dataset of Diverse Text for Language Modeling},
  author = {Gao, Leo and others},
  journal = {arXiv preprint arXiv:2101.00027},
  year = {2021}
}""",
    "li2016diversity": """@inproceedings{li2016diversity,
  title = {A Diversity-Promoting Objective Function for Neural Conversation Models},
  author = {Li, Jiwei and Galley, Michel and Brockett, Chris and Gao, Jianfeng and Dolan, Bill},
  booktitle = {Proceedings of NAACL-HLT 2016},
  year = {2016}
}""",
    "lui2012langid": """@inproceedings{lui2012langid,
  title = {langid.py: An Off-the-shelf Language Identification Tool},
  author = {Lui, Marco and Baldwin, Timothy},
  booktitle = {Proceedings of the ACL 2012 System Demonstrations},
  year = {2012}
}""",
}


def bibtex(metric: Metric) -> str:
    """The entry that a metric is cited by: one of these, or its own; empty where it has none."""
    return CITATIONS.get(metric.bibtex, metric.bibtex)
