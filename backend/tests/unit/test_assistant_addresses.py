"""Which Ollama addresses the server calls: this machine and the local network, nothing else."""

import pytest

from domain.assistant import AiProvider, checked_ollama_url
from domain.errors import InvalidInput


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("", "http://localhost:11434"),
        (" http://localhost:11434/ ", "http://localhost:11434"),
        ("http://localhost:11434/v1", "http://localhost:11434"),
        ("http://192.168.1.20:11434", "http://192.168.1.20:11434"),
        ("http://10.1.2.3:11434", "http://10.1.2.3:11434"),
        ("http://172.31.0.9", "http://172.31.0.9"),
        ("http://100.99.1.1:11434", "http://100.99.1.1:11434"),
        ("https://[::1]:8443/ollama", "https://[::1]:8443/ollama"),
        ("http://[fd12::5]:11434", "http://[fd12::5]:11434"),
        ("http://serveur.maison:11434", "http://serveur.maison:11434"),
    ],
)
def test_local_address_is_kept_in_one_form(typed: str, kept: str) -> None:
    assert checked_ollama_url(typed) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "ftp://localhost",
        "file:///etc/passwd",
        "localhost:11434",
        "http://",
        "http://user:mot@localhost:11434",
        "http://localhost:11434/?x=1",
        "http://localhost:11434/#x",
        "http://localhost:99999",
        "http://loc alhost",
        "http://8.8.8.8:11434",
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1%25eth0]:11434",
        "http://[::ffff:169.254.169.254]:80",
        "http://0.0.0.0:11434",
        "http://[2001:db8::1]",
        "http://224.0.0.1",
    ],
)
def test_other_address_is_refused_in_french(typed: str) -> None:
    with pytest.raises(InvalidInput, match=r"^Adresse Ollama « .* » refusée : ") as refused:
        checked_ollama_url(typed)
    assert refused.value.error_code == "ollama_url_refused"


def test_provider_does_not_show_its_key() -> None:
    assert "sk-or-secret" not in repr(AiProvider("openrouter", "https://x", "m", api_key="sk-or-secret"))
