"""Words in capitals: some are words (NASA), some are read by their letters (F B I)."""

import functools
import re

from resgen_tts.speech.text.rewrite import Spans, TracedText, word_set
from resgen_tts.speech.text.sentence_ends import ends_sentence

# Acronyms that are read as words, and short words that people shout.
_WORDS = word_set(
    """NASA NATO UNESCO UNICEF OPEC FIFA UEFA LASER RADAR SONAR SCUBA AIDS SARS COVID ASCII RAM ROM GIF JPEG PIN SIM
    LAN WAN SWAT NAFTA ASEAN BREXIT DEFRA ERASMUS POTUS SCOTUS FLOTUS NAVY NAND YOLO FOMO ASAP LIDAR CAPTCHA
    BIOS LATEX UNIX LINUX BASIC COBOL FORTRAN JSON YAML TOML CUDA MIDI IKEA LEGO MENSA PISA NOAA OSHA FEMA HIPAA
    MASH CAD TED DARPA CERN ESSO FIAT SAAB EPCOT GUI WASP INTERPOL BAFTA EMEA SAT ACT ZIP MAC PET CAT TAR A I
    THE AND FOR ARE BUT NOT YOU ALL ANY CAN HAD HER WAS ONE OUR OUT DAY GET HAS HIM HIS HOW MAN NEW NOW OLD SEE
    TWO WAY WHO BOY DID ITS LET PUT SAY SHE TOO USE YES WIN BIG BAD RED HOT TOP END FUN GO NO SO WE HE ME MY BE
    BY DO IF IN IS OF ON OR TO UP AT AS AN AM OH HI HA AH HEY WOW WHY OWN OFF MAY SIX TEN ASK BUY CAR DOG EAT
    FAR FEW GOT GUN JOB KEY LAW LAY LIE LOT LOW MOM DAD MET NOR OIL PAY RUN SAD SET SIT SIR SON SUN TRY WAR YET
    AGE AGO AIR ART BED BIT BOX CUT DIE DRY EGG FIX FLY GOD GAS HIT ICE KID LEG LIP MAP MIX MUD NET NUT ODD PEN
    PIG POT RAT RAW ROW RUB SEA SEX SKY TAX TEA TIE TIP TOE TOY VAN VOW WEB WET ZOO MR MRS MS DR IT US
    LED AD UPS RIP POW"""
)
# Read by their letters although they could be words; those of both lists only where a line is not all in capitals.
_LETTERS = word_set(
    """USA UK US EU UN UAE AI IT TV PC CEO CFO CTO COO FAQ API URL USB VIP ATM IBM IOU AKA EST EDT GMT UTC BC AD CE BCE
    AC DIY ETA EV ISO LED LCD MRI IQ EQ IP ID GPA UFO UCLA ESPN NAACP IMDB ISBN AAA AARP ACLU ADHD AFL CIO EPA
    IMF IRA IRS IVF NBA NFL NHL NYU OCD PHD RIP ROI SOS SUV UFC UPS USDA USAF USSR WHO WTO WWE XML HIV HR PR PE
    ER SEO FBI CIA NSA CNN DNA UI UX OS AOL ABC CBC EKG EEG ICU MIA POW QA AA AAAA"""
)
_SAID = {"OK": "okay", "IEEE": "I triple E", "NAACP": "N double A C P", "AAA": "triple A", "WWW": "W W W"}
_CAPITALS = re.compile(r"(?<![A-Za-z'])([A-Z]{2,12})('s|s|'S)?(?![A-Za-z]|'[a-zA-Z])")
_DOTTED = re.compile(r"(?<![A-Za-z.])((?:[A-Za-z]\.){2,10})('s|s(?![a-z]))?(?![A-Za-z])")
_LINE = re.compile(r"[^\n]+")


def spell(letters: str) -> str:
    """Its letters, a blank between: "F B I"."""
    return " ".join(letters.upper())


def word_or_letters(word: str) -> str:
    """A piece of an address or name: by its letters where it has no vowel, else as it is."""
    if word.isupper() and len(word) > 1:
        return _capitals(word, is_shouted=False)
    return word if len(word) == 1 or re.search(r"[aeiouyAEIOUY]", word) or len(word) > 5 else spell(word)


def _capitals(word: str, is_shouted: bool) -> str:
    if word in _SAID:
        return _SAID[word]
    if word in _WORDS and (is_shouted or word not in _LETTERS):
        return word
    if word in _LETTERS or not re.search("[AEIOUY]", word):
        return spell(word)
    return spell(word) if len(word) <= 3 and not is_shouted else word


def _shouted_lines(text: str) -> list[tuple[int, int]]:
    """Lines of some words that are mostly capitals, and no row of acronyms: there, capitals mean nothing."""
    found = []
    for line in _LINE.finditer(text):
        if not line[0].isupper() and sum(map(str.isupper, line[0])) <= 0.6 * sum(map(str.isalpha, line[0])):
            continue
        words = [word for word in re.findall(r"[A-Za-z]+", line[0]) if len(word) > 1]
        is_told = any(word in _WORDS for word in words) or (len(words) > 2 and any(len(word) > 3 for word in words))
        if len(words) > 1 and is_told:
            found.append(line.span())
    return found


def say_acronyms(traced: TracedText) -> TracedText:
    """``FBI`` to "F B I", ``PCs`` to "P C's", ``U.S.A.`` to "U S A"; ``NASA`` and shouted words stay words."""
    traced = traced.say(_DOTTED, _dotted)
    return traced.say(_CAPITALS, functools.partial(_in_capitals, shouted=Spans(_shouted_lines(traced.text))))


def _dotted(match: re.Match[str]) -> str:
    if match[2]:
        return spell(match[1].replace(".", "")) + "'s"
    return spell(match[1].replace(".", "")) + "." * ends_sentence(match.string, match.end())


def _in_capitals(match: re.Match[str], shouted: Spans) -> str | None:
    said = _capitals(match[1], match.start() in shouted)
    return None if said == match[1] else said + "'s" * bool(match[2])
