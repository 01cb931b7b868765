"""What a server is told: where it listens, who may ask, and how much it takes on."""

import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path

from resgen_tts.common.errors import ConfigError

KEY_VARIABLE = "RESGEN_TTS_API_KEY"
MAX_KEY_CHARACTERS = 512


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """One server. Sizes are those of what one request may bring."""

    host: str = "127.0.0.1"
    port: int = 8880  # 0 takes a free one, which is told
    api_key: str = field(default="", repr=False)  # "" asks for none
    is_insecure: bool = False  # other machines may ask without a key
    voices: Path | None = None  # folder of stored voices; None is the user's own
    aliases: tuple[str, ...] = ()  # more names of the model, for clients that can ask for no other
    max_waiting: int = 8  # requests that wait for their turn; those beyond are told to come again
    max_active: int = 8  # requests that are spoken at the same time
    batch_size: int = 8  # chunks of any of them in one call of the generator
    asr: str = "auto"  # what writes down a reference that comes without its text
    max_input_characters: int = 4096
    max_json_bytes: int = 256 * 1024  # 4096 characters, each written as two escapes, and some more
    max_upload_bytes: int = 20_000_000  # a multipart body with everything in it
    max_steps: int = 256  # network calls of a chunk
    max_voices: int = 1000  # stored ones
    body_seconds: float = 60.0  # for a request's body to arrive
    closing_seconds: float = 30.0  # for what is being spoken when the server is asked to stop

    def __post_init__(self):
        for name in ("max_waiting", "max_active", "batch_size", "max_steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"--{name.replace('_', '-')} must be at least 1, got {getattr(self, name)}.")
        if not 0 <= self.port < 65536:
            raise ConfigError(f"--port must be between 0 and 65535, got {self.port}.")
        check_key(self.api_key)
        check_reach(self.host, self.api_key, self.is_insecure)

    @property
    def is_local(self) -> bool:
        """Only this machine reaches it, and without a key: whoever asks must ask this machine by its own name."""
        return not self.api_key and is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine alone."""
    if host.lower() in ("localhost", "ip6-localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0]).is_loopback
    except ValueError:
        return False


def check_reach(host: str, api_key: str, is_insecure: bool) -> None:
    """Refuse to be reached by other machines without a key, unless that is said.

    Raises:
        ConfigError: HOST_UNPROTECTED.
    """
    if not (is_loopback(host) or api_key or is_insecure):
        raise ConfigError(
            f"{host or 'every address'} can be reached by other machines, and anybody there could speak in any voice.",
            code="HOST_UNPROTECTED",
            hint=f"Set a key (--api-key, or better the variable {KEY_VARIABLE}), or say --insecure.",
        )


def key_of(option: str | None) -> str:
    """The key of an option of the command line, else of the environment; "" where neither has one.

    Raises:
        ConfigError: API_KEY_INVALID, the option is empty, as of a variable that is not set: nobody means to have no key
            by saying one.
    """
    if option == "":
        raise ConfigError("--api-key is empty.", code="API_KEY_INVALID", hint="Leave it out to ask for none.")
    return option or os.environ.get(KEY_VARIABLE, "")


def check_key(api_key: str) -> None:
    """Refuse a key that no header can carry.

    Raises:
        ConfigError: API_KEY_INVALID; the key is not in the message.
    """
    if len(api_key) > MAX_KEY_CHARACTERS or not all("!" <= letter <= "~" for letter in api_key):
        raise ConfigError(
            f"the API key has blanks or letters beyond ASCII, or more than {MAX_KEY_CHARACTERS} characters.",
            code="API_KEY_INVALID",
            hint='Make one: python -c "import secrets; print(secrets.token_urlsafe(32))"',
        )
