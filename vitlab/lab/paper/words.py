"""The words and signs by which drafts say what a number is, in English and Chinese."""

from __future__ import annotations

import re

_METRICS = {
    "r2": r"R\s?_?\^?\s?\(?2\)?(?!\d|\.\d)|R²|coefficients? of determination|决定系数"
    r"|explain(?:s|ed|ing)?(?=[^;]{0,40}\bvarian)|(?:the )?variance (?:is |are |was )?explained"
    r"|(?<!z-)(?<!z )scores? (?=(?:of|is|was) \d?\.\d)|unexplained(?: variance)?"
    r"|explained variance|解释(?:了)?(?=[^。；]{0,20}方差)",
    "mae": r"MAE|(?:mean|average) abs(?:olute|\.)(?: (?:error|deviation|residual))?"
    r"|平均绝对(?:误差|偏差)",
    "rmse": r"RMSE|root[- ]mean[- ]squared?(?: (?:error|deviation|sense))?"
    r"|r\.?m\.?s\.? (?:error|residual"
    r"|deviation)"
    r"|均方根(?:误差|偏差)",
    "error": r"(?:test |typical |median )?errors? (?:is|are|of) (?=(?:about |only |~ ?)?\d)",
    "bias": r"bias(?:ed (?:by|low|high))?(?![a-z])|mean (?:residual|error|offset)(?! in)"
    r"|(?<!绝对)(?<!均方根)(?<!标准)偏差|系统偏移",
    "scatter": r"scatter(?![a-z])|弥散|σ_?N?MAD",
    "label_std": r"σ_?(?:label|y|logg|log g)|labels?'? (?:standard deviation|scatter|spread"
    r"|dispersion|std)"
    r"|(?:labels have a )?standard deviation(?: of the labels?)?|std\s?\((?:y|log g)\)"
    r"|(?:dispersion|spread) of the (?:true )?(?:labels?|gravit)|(?:标签|log g)\s?的?标准差",
}
METRIC = re.compile(
    "|".join(rf"(?P<{name}>(?<![A-Za-z])(?:{pattern}))" for name, pattern in _METRICS.items()),
    re.IGNORECASE,
)
LABEL = re.compile(
    r"(?P<log_g>log[\s_]?g(?![a-z])|\bgravit(?:y|ies)\b|表面重力)"
    r"|(?P<T_eff>T_?eff|(?:effective )?temperatures?\b|有效温度)"
    r"|(?P<M_H>\[\s?(?:M|Fe)\s?/\s?H\s?\]|metallicit(?:y|ies)|金属丰度)",
    re.IGNORECASE,
)
SPLIT = re.compile(
    r"(?P<test>test|held[- ]out|测试)|(?P<val>(?<![\dkM] )validation|(?:\bon|\bfor|\bin"
    r"|\bover) (?:the |our )?[\d,]+ validation|(?<![a-z])val(?![a-z])|验证)"
    r"|(?P<train>on (?:the )?training (?:set|data|spectra)|training (?:loss|score|R\b|R²)"
    r"|(?<!N)_train|训练集上)",
    re.IGNORECASE,
)
AT_SIZE = re.compile(
    r"(?:\bat|\bon|\bwith|\bfrom|\bbetween|\bto|,|\band|@|和|、|至|在|用|到|从|由"
    r"|[(（/])\s*(?:N\s*=\s*)?$",
    re.IGNORECASE,
)
NO_CLAIM = re.compile(
    r"(?:\bmag(?:nitude)?s?|\bS/?N(?:R)?|\b[mM]\s*=|\bp\s*[=<]|learning rate|\blr|dropout"
    r"|\bTable|\bTab\.|\bFig(?:ure|s|\.)?|\bSec(?:tion|t\.|\.)?|\bEq(?:uation|\.)?|§|\bversion|\bv"
    r"|\bR\s*=|\bintervals?\s*[(（]?|resolution|weight decay|temperature"
    r"|图|表|第|节|星等|信噪比|学习率)"
    r"\s*(?:of|=|~|≈|:|：|is|to|from|为)?\s*$",
    re.IGNORECASE,
)
NO_CLAIM_BEHIND = re.compile(
    r"\s*(?:Å|nm|μm|pixels?|px|GPU|hours?|h\b|minutes?|s\b|layers?|heads?|GB|MB|km|CL|sigma\b|-?σ\b"
    r"|mag\b|kpc|pc\b|days?|years?|nights?|cores?|kg|°|像素|小时|分钟|层|星等|维|个?头)",
    re.IGNORECASE,
)
OF_SOME = re.compile(
    r"(?-i:\b[iGVrgmT])\s*[<>≥≤]\s*\d|\bS/?N(?:R)?\s*[<>≥≤=~≈]|\bsub-?(?:sample|set)s?\b|子样本"
    r"|子集|\b(?:at|for|in|where)\s+(?:(?:an?|the)\s+)?(?:(?:median|mean)\s+)?(?:S/?N|mag|M\s?=)"
    r"|\b(?:bins?|brightest|faintest|bright|faint|giants?|dwarfs?|metal-poor|worst)\b"
    r"|亮星|暗星|巨星|矮星|(?:星等|信噪比)\s*[\d=~≈<>]",
    re.IGNORECASE,
)
"""What makes a number one of some stars only, which results do not hold."""
CEILING = re.compile(
    r"ceiling|(?:upper|theoretical|information|noise|Bayes(?:ian)?) (?:bound|limit)"
    r"|\bthe limit (?:is|was|falls|of)\b|\b(?:remaining )?excess\b"
    r"|headroom|\b(?:to|with|of|below) the limit\b(?!\s*(?:of\s*)?(?:\d|$))|Fisher|Bayes|CRLB"
    r"|Cram[eé]r[- ]Rao|2_?max|oracle|optimal|optimum|posterior mean|上限|理论极限|最优",
    re.IGNORECASE,
)
AN_ERROR = re.compile(
    r"\b(?:errors?|uncertaint(?:y|ies)|error bars?) (?:of|is|are) (?:about |only )?$|误差(?:条"
    r"|为|约)\s?$",
    re.I,
)
VARIABLE = re.compile(
    r"(?<![A-Za-z\d²])(?P<name>[A-Za-zα-ωΑ-Ω][\w^]{0,12}(?:\([^()]{0,12}\))?)\s*[=≈]\s*$"
)
"""A number that is that of a variable, `b = 0.38`."""
OF_REST = re.compile(
    r"\b1\s*[-−–]\s*R|unexplained|remaining|shortfall|irreducible"
    r"|due to (?:photon )?noise|剩余?|未解释",
    re.IGNORECASE,
)
"""What makes numbers ones that are left of the variance."""
REST = re.compile(r"\b1\s*[-−–]\s*R\s?\^?[2²]\s*[=≈]\s*$")
RATIO = re.compile(
    r"(?:\b(?:ratio|factor)\b(?:[^,;.\d]{0,50}\b(?:of|is)|\s*=)?|比值|倍数)\s*(?:为|是|约)?\s*$",
    re.IGNORECASE,
)
FRACTION = re.compile(
    r"\b(?:fraction|share|proportion)s? (?:reached|attained)\b"
    r"|\b(?:fraction|share|proportion)s? of (?:the |its |this )?(?:\w+ )?(?:ceiling|limit|oracle"
    r"|bound)"
    r"|占(?:理论)?上限|R\^?[2²]\s?/\s?R\^?[2²]_?max",
    re.IGNORECASE,
)
ERROR_OF = re.compile(r"\b(?:errors?|uncertaint(?:y|ies)) (?:of|on|in) (?:the )?$", re.IGNORECASE)
"""What stands before a metric whose error is given, not itself."""
SHARE = re.compile(
    r"\s*[%％]?\s*(?:of|的)?\s*(?:(?:what|all|the|this|that|its|way|to|Bayes(?:ian)?"
    r"|theoretical|Fisher"
    r"|information|maximum|maximal|accessible|available|achievable|attainable|possible|理论)\s+"
    r"|理论){0,4}"
    r"(?:ceiling|upper (?:bound|limit)|limit|oracle|optimum|(?<=the )information"
    r"|(?<=ble )information"
    r"|optimal|Bayes(?:-optimal)?|(?<=what )(?:is|can be|could be) (?:possible|known|achieved"
    r"|attained|explained|reached)|R\^?[2²]_?max|上限)",
    re.IGNORECASE,
)
OF_IT = re.compile(r"\s*of (?:it|this|that)\b", re.IGNORECASE)
SHARE_BEFORE = re.compile(
    r"(?:上限|ceiling)\s*[(（]?(?:R²\s*)?(?:[\d.]+\s*)?[)）]?\s*(?:的|:|：|，?即?达到"
    r"|还差[^，,]{0,12}，?即?达到)?\s*$",
    re.IGNORECASE,
)
BY = re.compile(
    r"(?:(?<!off )\bby|\bwithin|\bgains?(?: (?:is|are|was|were|of))?|\b(?:lead|advantage|margin|gap"
    r"|difference)\b[^,;.]{0,40}?\b(?:is|was|of)"
    r"|\b(?:improvement|difference|gap|advantage|lead|gain|increase|reduction|drop) of"
    r"|Δ\s*R\^?[2²]\s*(?:=|of|is|为)?|\bremains? (?:is|are)"
    r"|\b(?:costs?|loses?|adds?|leaves?|excess|shortfall|distance|short of)\b[^,;.\d]{0,30}"
    r"|高出?|低出?|提升|提高|领先|相差|还差|超过|增益|涨了?|多了?|下降了?|差距为?"
    r"|(?<![误偏方准])差为?|[大小好低高]出?了?)"
    r"\s*(?:about|only|by|another|~|≈|约|了|仅)?\s*$",
    re.IGNORECASE,
)
MORE = re.compile(
    r"\s*(?:better|higher|lower|less|more|larger|smaller|above|below|ahead|improvement|gain|lead"
    r"|relative|over(?=\s+(?:the\s+|our\s+)?(?:(?-i:[A-Z])|ridge|baseline|linear|boost|trees"
    r"|template|perceptron|transformer))|than|更高|更好|的?提升)",
    re.IGNORECASE,
)
TIMES = re.compile(r"\s*(?:times|[×x](?!\s*\d)|-?fold|倍)", re.IGNORECASE)
BEHIND = re.compile(r"\s*(?:dex|K|[%％])?\s*(?:in|of|的|\()?\s*(?:test\s+)?")
OF_SECOND = re.compile(
    r"\s*(?:dex|K|[%％])?\s*(?:(?:versus|vs\.?|against|and|to|or|/)\s*\d*\.?\d+\s*(?:dex|K"
    r"|[%％])?)?\s*[(（]"
)
"""From a number to what stands in brackets behind it and the next: `0.4 versus 0.5 dex (MAE)`."""
STATES_ANOTHER = re.compile(r"\s*(?:[^,;.，；。\d]{0,24}(?:=|of|is|:|：|为)\s*)?[\d.]")
FROM = re.compile(r"(?:\bbetween|\bfrom|从|由|在)\s*(?:N(?:_?train)?\s*=\s*)?$", re.IGNORECASE)
TO = re.compile(
    r"\s*(?:spectra|stars|条)?\s*(?:\band|\bto|–|[增升加]*[至到]|和)\s*(?:N(?:_?train)?\s*=\s*)?",
    re.IGNORECASE,
)
LESS = re.compile(
    r"\b(?:lower|reduc|decreas|smaller|less\b|cut|fewer|drop|declin|below|down\b)"
    r"|降低|减小|减少|更小|更低|下降|[小低少]出?了?\s*$",
    re.IGNORECASE,
)
GREATER = re.compile(
    r"\b(?:larger|higher|worse|increas|more\b|greater)|更大|更高|增大|[大高多]出?了?\s*$",
    re.IGNORECASE,
)
FROM_TO = re.compile(
    r"\b(?:cut|reduc|lower|improv|bring|rais|increas|decreas|fall|drop|goes|go|down)\w*\b[^;]{0,60}"
    r"\bfrom\b[^;]{0,30}$|从[^，,；。]{0,20}(?:到|至)?[^，,；。]{0,12}$",
    re.IGNORECASE,
)
"""`A improves the MAE of B from 0.5 to 0.4`: what stands before either number."""
OF_SEEDS = re.compile(
    r"\bseeds\b[^.;]{0,60} \d\.\d+, \d\.\d+|\b(?:two|three|four|five"
    r"|\d) (?:training )?(?:models|networks"
    r"|transformers|ViTs|MLPs|perceptrons|copies"
    r"|runs)\b"
    r"|种子[^，。；]{0,12}(?:分别|依次)"
    r"|\bseeds(?: of (?:the |our )?\w+)? (?:give|gave|have|had|reach"
    r"|range|are|yield|span)"
    r"|\b(?:each|single|individual|every) seeds?\b|每个种子|各种子"
    r"|\d\.\d+(?:,| and|,? to|、| /|/)? ?[^;.]{0,12}\d\.\d+[^;.]{0,30}\bseeds?\b"
    r"|\bindividual (?:values|runs|scores|models|networks)"
    r"|initiali[sz]ations[^.]{0,40}\b(?:between|range|from)"
    r"|(?:种子|seeds?)\s?[:：]?\s?\d\.\d+[、,/ ]|seeds? ?(?:分别|各自|依次)"
    r"|\bseeds?\s*[:：(（]\s*\d\.\d+[ ,/、]",
    re.IGNORECASE,
)
"""What makes numbers those of single seeds."""
PRONOUN = re.compile(
    r"\b(?:it|this (?:model|network)|the (?:model|network)) (?=(?:also |thus |then )?(?:ha[sd]"
    r"|scores?"
    r"|outperform|exceed|beat|surpass|reduc|lower|improv|cut|reach|attain|achiev|obtain"
    r"|is (?:better|ahead)))"
    r"|\bits (?=(?:own |test |validation |mean |typical )*(?:R\^?[2²]|MAE|RMSE|parameters"
    r"|weights|[\d.,]+ (?:million|M) param|mean|r\.?m\.?s|bias|scatter|score|error))"
    r"|(?:它|其)(?=的?\s?(?:参数|R|MAE|RMSE|验证|测试|在|达到))",
    re.IGNORECASE,
)
"""What stands for the model that the sentence before is about."""
MORE_DATA = re.compile(
    r"\d\s?[×x] (?:of |more )?data\b|(?:\b\w*fold|\bdoubl\w+|\btimes (?:more|as many"
    r"|larger))\b[^.;]{0,40}"
    r"(?:\bN\b|data|spectra|stars|training|sample)|\b(?:per|each|a|every) decade\b|\b(?:whole"
    r"|full|entire) range\b"
    r"|每个?\s?(?:decade|数?量级)",
    re.IGNORECASE,
)
"""What makes a gain one between two training sizes that are not said."""
OTHER_SIDE = re.compile(
    r"\b(?:against|versus|vs\.?|than|over|beats?|outperform(?:s|ing)?|exceed(?:s|ing)?"
    r"|(?:compared|relative)"
    r" (?:to|with)|with respect to)(?![a-z])|而|相比|优于|好于|超过|比",
    re.IGNORECASE,
)
"""What stands before the model that a number is compared with."""
UNNAMED = re.compile(
    r"\b(?:forests?|baselines?|other (?:model|fit)s?|networks?)\b|基线",
    re.IGNORECASE,
)
"""Models without their names: a sentence with these alone is of none named before."""
OPEN = re.compile(
    r"\b(?:would|should|thought|(?:could|might|may) (?:reach|raise|improve|give|yield|bring|rise"
    r"|increase)|expect(?:s|ed|ing)?|hop(?:e|es|ing)|aim(?:s|ing)?|goals?|targets?"
    r"|project(?:s|ed)|extrapolat\w+|forecast\w*|require[sd]?|planned)\b|预计|预期|有望|目标"
    r"|计划|希望",
    re.IGNORECASE,
)
"""What makes a number one that nobody has measured."""
AT_MOST = re.compile(
    r"\bat (?:most|best)\b|\bpermits?\b|\bcould be\b|\bpossible\b|最多", re.IGNORECASE
)
"""What makes a number one of the ceiling, perhaps."""
RESPECTIVELY = re.compile(r"\brespectively\b|分别|依次", re.IGNORECASE)
OWN = re.compile(r"\b(?:we|our|ours|us|this work)\b|我们|本文", re.IGNORECASE)
"""What makes a sentence one about the draft's own results."""
FOR_ALL = re.compile(r"[^.;\n]{0,40}\bfor (?:all|each|every)\b", re.IGNORECASE)
OF_SIZES = re.compile(
    r"\b(?:small|larg|few)(?:er|est)? (?:number of |training|sample|set|spectra|stars|N\b)"
    r"|\bsubsets?\b|\b(?:scaling|learning[- ]curves?|per decade)\b"
    r"|\b(?:training|sample)(?:[- ]set)? sizes?\b|样本[量数]|规模|训练集大小|量级",
    re.IGNORECASE,
)
"""What makes numbers of a paragraph ones of any training size."""
SLOPE = re.compile(r"\b(?:per|an?|each|every) decade\b|每(?:增加)?(?:十倍|一?个?数?量级)", re.I)
"""What makes a gain one of a fit, which no two results have."""
EVERY = re.compile(
    r"\b(?:all|each|every|both)\b[^,;.]{0,60}$|(?:每个|所有|均)[^，。；]{0,20}$", re.I
)
"""Before a count that is that of every model."""
COMPLEMENT = re.compile(
    r"\bunexplained|\bleav(?:e|es|ing)\b|\bremain|\b(?:is|are) (?:left|missing)|剩|未解释",
    re.IGNORECASE,
)
IS = re.compile(r"\s*(?:=|of|is|:|为)?\s*")
WITHIN = re.compile(r"\b(?:within|short of|below|missing)\b[^,;.]{0,12}$", re.IGNORECASE)
IS_SO = re.compile(r"\s*(?:score|value)?\s*(?:=|≈|~|of|is|at|reaches|:|：|为|达到|达)?\s*")
NEAR = 24
OVER_SIZES = re.compile(r"\s*(?:between|from)\s+(?:N\s*=\s*)?[\d~]")
GROWS = re.compile(
    r"\b(?:lead|advantage|margin|gap|differences?|distance)\b[^;]{0,50}\b(?:from|grow|increas"
    r"|decreas|shrink|widen)"
    r"[^;]{0,50}$|差距[^；，]{0,20}$",
    re.IGNORECASE,
)
TERM = re.compile(r"\s*[-−–]\s*\d*\.\d+\s*[)）]?\s*[=≈/]")
SECOND = re.compile(r"\d*\.\d+\s*[-−–]\s*$")
RESULT = re.compile(r"\d*\.\d+\s*[-−–]\s*\d*\.\d+\s*[=≈]\s*$")
"""The terms of a difference that is written out, `0.792 - 0.711 = 0.081`."""
OTHERS = re.compile(
    r"\b(?:Cannon|Payne|TransformerPayne|StarNet|astroNN|SpectraFM|AspGap|FERRE|ASPCAP|APOGEE"
    r"|GALAH|LAMOST|Gaia|literature|the (?:authors|referee|reviewer))"
    r"\b[^,;，；]{0,30}$|文献[^,;，；]{0,20}$",
    re.IGNORECASE,
)
"""Models and catalogues of other people: what is said of them is theirs."""
IN_FORMULA = re.compile(r"\s*/\s*\d*\.\d+\s*[)）]")
FORMULA = re.compile(r"\d\s*/\s*$|\d\s*[)）]\s*\^?[²2]\s*[=≈]\s*$")
"""The terms of a formula that is written out, and what it gives."""
OF_RUNS = re.compile(r"\bseeds?\b|\bruns\b|initiali[sz]ation|种子", re.IGNORECASE)
"""What makes a standard deviation one of scores, not of labels."""
SPREADS = ("label_std", "scatter")
FROM_ONE = re.compile(r"\b1\s*[-−–]\s*$")
TEMPERATURE = 2000
"""Kelvin from which on a number is a temperature, not the error of one."""
TO_REACH = re.compile(
    r"\bto (?:reach|get|obtain|attain|achieve)\b[^,;]{0,24}$|达到[^，；]{0,8}$", re.IGNORECASE
)
NEEDS = re.compile(r"\b(?:needs?|needed|requires?|would)\b|需要", re.IGNORECASE)
"""`to reach R² = 0.6 a model needs`: what stands before and about a number that is a condition."""
LABEL_STD = re.compile(r"(?:标签|log g)\s?的?标准差|labels?", re.IGNORECASE)
THEIRS = re.compile(r"\btheir standard deviation|标准差\s*(?:为|约)?\s*$", re.IGNORECASE)
FORMER = re.compile(
    r"(?:\b(?:first|original|initial|previous|earlier|old|former)(?:ly)?(?: \w+)?\s*[(（]?"
    r"|[(（]was |\bread |\bnot |\b(?:rather than|instead of) |\bchanges? from "
    r"|原为|原来|此前|而非|不是)\s*$",
    re.IGNORECASE,
)
"""Before a number that a draft says was given before, or is not so."""
THEY = re.compile(r"\s*(?:Their|They|These)\b")
"""Begins a sentence about what the one before it names."""
IN_UNITS = re.compile(
    r"\bin units of (?:the |its )?(?:labels?'?s?'? )?(?:standard deviation|spread|dispersion|σ)"
    r"|以标准差为单位",
    re.IGNORECASE,
)
"""What makes errors numbers in standard deviations of their label."""
ELSEWHERE = re.compile(
    r"\b(?:previous|earlier|former|companion) (?:paper|work|study)\b|\bPaper I+\b|前作",
    re.IGNORECASE,
)
"""Where numbers stand that are not those of this draft."""
COSTS = re.compile(
    r"\s*(?:times|[×x倍])\s*(?:the cost|faster|slower|longer|cheaper|more (?:expensive|data)"
    r"|as (?:fast|long|many))",
    re.IGNORECASE,
)
"""What makes a ratio one of times or costs."""
REACHES = re.compile(r"(?:达到?|已达|\breach(?:es|ed)?|\battain(?:s|ed)?|\bat)\s*$", re.IGNORECASE)
WORDS_OF_SCORE = re.compile(
    r"\b(?:of|for|with|by|on|at|in|to|than|over|the|our|an?|both|that|those|its?|and|but|while|whereas"
    r"|versus|vs|scores?|values?|set|test|held-out|validation|val|stars|spectra|model|network|baseline"
    r"|is|was|are|were|ha[sd]|have|reach(?:es|ed)?|attain(?:s|ed)?|achiev(?:es|ed)|gets?|got|gives?"
    r"|gave|yield(?:s|ed)?|obtain(?:s|ed)?|scor(?:es|ed)|rises|only|about|even|just|nearly|almost"
    r"|not|per\s?cent)\b|\d[\d.,]*\s?[kM]?\b|[\s,，、:：()（）=≈~±+\-–%％/]"
    r"|测试集?|验证集?|上|在|的|为|是|约|仅|只有|达到?|和|而|则",
    re.IGNORECASE,
)
"""All that may stand, with models' names, between R² and a number that it is said to be."""
ENDS_SCORE = re.compile(
    r"\s*(?:$|[.,;:!?()（）。，；、：/—–]"
    r"|(?:and|but|while|whereas|respectively|versus|vs|against|when|as"
    r"|on (?:the )?(?:test|validation))\b|和|而)",
    re.IGNORECASE,
)
"""What stands behind such a number: nothing that makes it one of something else."""
FOR = re.compile(r"\s*(?:for|with|by|from)\s+(?:(?:the|our|an?)\s+)?", re.IGNORECASE)
"""Between a number and the model that it is of."""
HAS = re.compile(
    r"(?:\b(?:ha[sd]|have|with|at|is|was|are|were|reach(?:es|ed)?|attain(?:s|ed)?|achiev(?:es|ed)"
    r"|scor(?:es|ed)|gets?|got|gives?|gave|yield(?:s|ed)?|obtain(?:s|ed)?)"
    r"|为|是|达到?)\s*(?:an?|about|only|仅|约|~|≈)?\s*$",
    re.IGNORECASE,
)
"""Before a number that something has, not one by which it changes."""
THE_TWO = re.compile(r"\bthe two\b|\bboth\b|\bbetween them\b|两者|二者", re.IGNORECASE)
"""Stands for the two models that were named before."""
