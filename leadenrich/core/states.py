"""The states of the US: names to codes, and the state a zip lies in.

Source: USPS Publication 28, appendix B, and the three-digit prefixes that the USPS assigns; the few
zips that lie in another state than their prefix are listed one by one.
"""

from __future__ import annotations

import re
from typing import Final

_NAMES: Final = """
AL Alabama; AK Alaska; AZ Arizona; AR Arkansas; CA California; CO Colorado; CT Connecticut; DE Delaware;
DC District of Columbia; FL Florida; GA Georgia; HI Hawaii; ID Idaho; IL Illinois; IN Indiana; IA Iowa; KS Kansas;
KY Kentucky; LA Louisiana; ME Maine; MD Maryland; MA Massachusetts; MI Michigan; MN Minnesota; MS Mississippi;
MO Missouri; MT Montana; NE Nebraska; NV Nevada; NH New Hampshire; NJ New Jersey; NM New Mexico; NY New York;
NC North Carolina; ND North Dakota; OH Ohio; OK Oklahoma; OR Oregon; PA Pennsylvania; RI Rhode Island;
SC South Carolina; SD South Dakota; TN Tennessee; TX Texas; UT Utah; VT Vermont; VA Virginia; WA Washington;
WV West Virginia; WI Wisconsin; WY Wyoming; PR Puerto Rico; GU Guam; VI US Virgin Islands; AS American Samoa;
MP Northern Mariana Islands; AA Armed Forces Americas; AE Armed Forces Europe; AP Armed Forces Pacific
"""
# What people and older software write besides: AP style and the postal forms before 1963.
_SHORT: Final = """
AL Ala; AK Alas; AZ Ariz; AR Ark; CA Calif; CA Cal; CO Colo; CO Col; CT Conn; DE Del; DC Washington DC; FL Fla; FL Flor;
IL Ill; IN Ind; KS Kan; KS Kans; MA Mass; MI Mich; MN Minn; MS Miss; MT Mont; NE Neb; NE Nebr; NV Nev;
NH N Hampshire; NJ N Jersey; NM N Mex; NM N Mexico; NC N Carolina; NC N Car; ND N Dakota; ND N Dak; OK Okla; OR Oreg;
OR Ore; PA Penn; PA Penna; SC S Carolina; SC S Car; SD S Dakota; SD S Dak; TN Tenn; TX Tex; VI Virgin Islands;
VI United States Virgin Islands; WA Wash; WV W Virginia; WV W Va; WI Wis; WI Wisc; WY Wyo
"""


def _pairs(table: str) -> dict[str, str]:
    entries = (entry.split(None, 1) for entry in table.split(";"))
    return {name.strip().upper(): code for code, name in entries}


STATES: Final[frozenset[str]] = frozenset(_pairs(_NAMES).values())
MILITARY: Final = frozenset({"AA", "AE", "AP"})
_CODE_BY_NAME: Final = {**_pairs(_NAMES), **_pairs(_SHORT)}
_LETTERS: Final = re.compile(r"[^A-Z ]+")

# First and last three-digit prefix, state. What is not listed is not assigned.
_PREFIXES: Final = """
005 005 NY; 006 007 PR; 008 008 VI; 009 009 PR; 010 027 MA; 028 029 RI; 030 038 NH; 039 049 ME; 050 054 VT; 055 055 MA;
056 059 VT; 060 069 CT; 070 089 NJ; 090 098 AE; 100 149 NY; 150 196 PA; 197 199 DE; 200 200 DC; 201 201 VA; 202 205 DC;
206 212 MD; 214 219 MD; 220 246 VA; 247 268 WV; 270 289 NC; 290 299 SC; 300 319 GA; 320 339 FL; 340 340 AA; 341 342 FL;
344 344 FL; 346 347 FL; 349 349 FL; 350 352 AL; 354 369 AL; 370 385 TN; 386 397 MS; 398 399 GA; 400 427 KY; 430 459 OH;
460 479 IN; 480 499 MI; 500 528 IA; 530 549 WI; 550 567 MN; 569 569 DC; 570 577 SD; 580 588 ND; 590 599 MT; 600 629 IL;
630 658 MO; 660 679 KS; 680 693 NE; 700 714 LA; 716 729 AR; 730 732 OK; 733 733 TX; 734 749 OK; 750 799 TX; 800 816 CO;
820 831 WY; 832 838 ID; 840 847 UT; 850 865 AZ; 870 884 NM; 885 885 TX; 889 898 NV; 900 961 CA; 962 966 AP; 967 968 HI;
969 969 GU; 970 979 OR; 980 994 WA; 995 999 AK
"""
_ZIP_EXCEPTIONS: Final = {"06390": "NY", "83414": "WY", "96799": "AS", "96950": "MP", "96951": "MP", "96952": "MP"}


def _by_prefix() -> dict[str, str]:
    found = {}
    for entry in _PREFIXES.split(";"):
        first, last, state = entry.split()
        found.update({f"{prefix:03d}": state for prefix in range(int(first), int(last) + 1)})
    return found


_STATE_BY_PREFIX: Final = _by_prefix()


def state_of_zip(zip5: str) -> str:
    """The state a zip lies in; "" for one that the USPS has not assigned."""
    return _ZIP_EXCEPTIONS.get(zip5) or _STATE_BY_PREFIX.get(zip5[:3], "")


def state_code(text: str) -> str:
    """The code of a state given as code or name, `TX - Texas` and `Texas (TX)` too; "" for no state of the US."""
    upper = text.upper()
    for candidate in (upper, *re.split(r"[-/,()|]", upper)):
        plain = " ".join(_LETTERS.sub("", candidate).split())
        if plain in STATES:
            return plain
        if plain in _CODE_BY_NAME:
            return _CODE_BY_NAME[plain]
        if (joined := plain.replace(" ", "")) in STATES:  # "N. Y."
            return joined
    return ""
