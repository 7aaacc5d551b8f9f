"""Where settings come from, which source wins, and every fault named at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from leadenrich.config import Config, ConfigFaults, LocationSettings, Secret, load, outline, read, require_worker

HIDDEN = "hunter2-hunter2"


@pytest.fixture
def write(tmp_path: Path):
    """Writes config.toml into the folder of the test and answers its path."""

    def writer(text: str) -> Path:
        path = tmp_path / "config.toml"
        path.write_text(text)
        return path

    return writer


def faults_of(path: Path | None, environ: dict[str, str] | None = None, cwd: Path | None = None) -> dict[str, str]:
    with pytest.raises(ConfigFaults) as wrong:
        load(path, environ or {}, cwd=cwd)
    return {fault.key: fault.message for fault in wrong.value.faults}


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    loaded = load(None, {}, cwd=tmp_path)
    assert loaded.config == Config()
    assert loaded.path is None
    assert {source.kind for source in loaded.sources.values()} == {"default"}


def test_the_file_is_looked_for_in_the_contracts_order(tmp_path: Path) -> None:
    for name, attempts in (("config.toml", 4), ("named.toml", 5), ("given.toml", 6)):
        (tmp_path / name).write_text(f"[queue]\nattempts = {attempts}\n")
    environ = {"LEADENRICH_CONFIG": str(tmp_path / "named.toml")}
    assert load(None, {}, cwd=tmp_path).config.queue.attempts == 4
    assert load(None, environ, cwd=tmp_path).config.queue.attempts == 5
    assert load(tmp_path / "given.toml", environ, cwd=tmp_path).config.queue.attempts == 6


def test_a_named_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    """Who names a file wants that one, not the defaults."""
    (tmp_path / "config.toml").write_text("")
    missing = tmp_path / "missing.toml"
    assert "No such file" in faults_of(missing)[str(missing)]
    assert "No such file" in faults_of(None, {"LEADENRICH_CONFIG": str(missing)}, tmp_path)[str(missing)]


def test_environment_beats_credential_beats_file_beats_default(write, tmp_path: Path) -> None:
    path = write('[server]\nadmin_token = "file"\nviewer_token = "file-v"\n[realestateapi]\napi_key = "file"\n')
    (tmp_path / "server.admin_token").write_text("credential\n")
    (tmp_path / "server.viewer_token").write_text("credential-v\n")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path), "LEADENRICH_SERVER__ADMIN_TOKEN": "environment"}
    loaded = load(path, environ)
    server = loaded.config.server
    assert server.admin_token == Secret("environment")
    assert server.viewer_token == Secret("credential-v")
    assert loaded.config.realestateapi.api_key == Secret("file")
    kinds = {key: loaded.sources[key].kind for key in ("server.admin_token", "server.viewer_token", "server.port")}
    assert kinds == {"server.admin_token": "environment", "server.viewer_token": "credential", "server.port": "default"}
    assert str(loaded.sources["realestateapi.api_key"]) == f"file {path}"


def test_the_environment_speaks_every_type() -> None:
    environ = {
        "LEADENRICH_SERVER__PORT": "9000",
        "LEADENRICH_QUEUE__BACKOFF_DELAY": "0.5",
        "LEADENRICH_GHL__NOTES": "yes",
        "LEADENRICH_GHL__TRIGGER_TAGS": "Enrich me, again",
        "LEADENRICH_GHL__ADDRESS_FIELDS": '["a,b", "c"]',
        "LEADENRICH_LOG__LEVEL": "debug",
        "LEADENRICH_WORKER__NAME": "",
        "LEADENRICH_GHL__LOCATIONS": "one=t1,two=t2=,three",
        "LEADENRICH_MAPPING__ANNUAL_TAX__ENABLED": "true",
        "LEADENRICH_MAPPING__STORIES": '{"source": "data.propertyInfo.stories"}',
        "LEADENRICH_RULES": '[{"code": "MOBILE_HOME", "enabled": false, "when": {"field": "x", "op": "is_true"}}]',
        # what Kubernetes sets for a service of this name
        "LEADENRICH_PORT": "tcp://10.0.0.1:8080",
        "LEADENRICH_PORT_8080_TCP_ADDR": "10.0.0.1",
        "LEADENRICH_SERVICE_HOST": "10.0.0.1",
        "LEADENRICH_SERVICE_PORT_HTTP": "8080",
    }
    loaded = load(None, environ, cwd=Path("/nonexistent"))
    config = loaded.config
    assert (config.server.port, config.queue.backoff_delay, config.ghl.notes) == (9000, 0.5, True)
    assert config.ghl.trigger_tags == ("Enrich me", "again")
    assert config.ghl.address_fields == ("a,b", "c")
    assert (config.log.level, config.worker.name) == ("debug", None)
    assert config.ghl.locations == (
        LocationSettings(id="one", token=Secret("t1")),
        LocationSettings(id="two", token=Secret("t2=")),
        LocationSettings(id="three"),
    )
    assert config.mapping["annual_tax"].enabled is True
    assert config.mapping["stories"].source == "data.propertyInfo.stories"
    assert config.rules[0].when == {"field": "x", "op": "is_true"}
    assert loaded.sources["ghl.locations[0].token"].kind == "environment"


def test_location_tokens_come_as_credentials(write, tmp_path: Path) -> None:
    """By id, whatever their place in the list; one that no list names is a location too."""
    path = write('[[ghl.locations]]\nid = "one"\n[[ghl.locations]]\nid = "two"\ntoken = "file"\n')
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "ghl.locations.two.token").write_text("t2\n")
    (folder / "ghl.locations.three.token").write_text("t3")
    (folder / "tls.key").write_text("somebody else's")
    loaded = load(path, {"CREDENTIALS_DIRECTORY": str(folder)})
    assert [(place.id, place.token) for place in loaded.config.ghl.locations] == [
        ("one", None),
        ("two", Secret("t2")),
        ("three", Secret("t3")),
    ]
    assert loaded.sources["ghl.locations[1].token"].kind == "credential"


def test_a_credential_that_is_no_secret_of_ours_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "realestateapi.apikey").write_text(HIDDEN)
    (tmp_path / "ghl.locations.x.token").write_text(" \n")
    found = faults_of(None, {"CREDENTIALS_DIRECTORY": str(tmp_path)}, tmp_path)
    assert "did you mean `realestateapi.api_key`?" in found["credential realestateapi.apikey"]
    assert found["credential ghl.locations.x.token"] == "is empty"
    assert HIDDEN not in str(found)


def test_every_fault_is_found_in_one_go(write) -> None:
    path = write(
        """
        [server]
        prot = 1
        port = 99999
        metrics = "opne"
        [queue]
        attempts = "three"
        backoff_delay = nan
        lease = 0.1
        [ghl]
        notes = "yes"
        trigger_tags = "one"
        [[ghl.locations]]
        token = "t"
        [[rules]]
        code = "A"
        when = { field = 07:32:00 }
        [mapping]
        a = { transfrom = "text" }
        [worke]
        """
    )
    assert faults_of(path, {"LEADENRICH_WORKER__CONCURENCY": "5"}) == {
        "server.prot": "unknown key; did you mean `port`?",
        "server.port": "expected a whole number from 0 to 65535, found 99999",
        "server.metrics": 'expected one of off, open, token, found the text "opne"',
        "queue.attempts": 'expected a whole number of at least 1, found the text "three"',
        "queue.backoff_delay": "expected a number of at least 0, found nan",
        "queue.lease": "expected a number of at least 0.5, found 0.1",
        "ghl.notes": 'expected true or false, found the text "yes"',
        "ghl.trigger_tags": 'expected a list of texts, found the text "one"',
        "ghl.locations[0].id": "is missing",
        "rules[0].when": "expected a table (without times of day), found a table",
        "mapping.a.transfrom": "unknown key; did you mean `transform`?",
        "worke": "unknown key; did you mean `worker`?",
        "worker.concurency": "unknown key (from environment LEADENRICH_WORKER__CONCURENCY); "
        "did you mean `worker.concurrency`?",
    }


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("LEADENRICH_QUEUE_ATTEMPTS", "unknown variable; did you mean `LEADENRICH_QUEUE__ATTEMPTS`?"),
        ("LEADENRICH_QUEUE_ATEMPTS", "unknown variable; did you mean `LEADENRICH_QUEUE__ATTEMPTS`?"),
        ("LEADENRICH_GHL_WEBHOOK_TOKEN", "unknown variable; did you mean `LEADENRICH_GHL__WEBHOOK_TOKEN`?"),
        ("LEADENRICH_API_KEY", "unknown variable; did you mean `LEADENRICH_REALESTATEAPI__API_KEY`?"),
        ("LEADENRICH_PORT", "unknown variable; did you mean `LEADENRICH_SERVER__PORT`?"),
        ("LEADENRICH_QUEUE", "LEADENRICH_<SECTION>__<KEY>"),
        ("LEADENRICH_NONSENSE", "LEADENRICH_<SECTION>__<KEY>"),
    ],
)
def test_a_variable_that_would_do_nothing_is_a_fault(name: str, hint: str) -> None:
    """One underscore too few looks right, and changes nothing."""
    found = faults_of(None, {name: HIDDEN}, Path("/nonexistent"))
    assert hint in found[name]
    assert HIDDEN not in str(found)


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("QUEUE__ATEMPTS", "did you mean `queue.attempts`?"),
        ("QUEUE__MAX_ATTEMPTS", "did you mean `queue.attempts`?"),
        ("QUEUE__DELAY", "did you mean `queue.backoff_delay`?"),
        ("WORKR__NAME", "did you mean `worker.name`?"),
        ("LOG__TRIES", "known here: level, format"),
    ],
)
def test_a_misspelt_variable_is_told_the_nearest_key_of_its_section(given: str, hint: str) -> None:
    """Also where that key has a fault of its own."""
    environ = {f"LEADENRICH_{given}": "5", "LEADENRICH_QUEUE__ATTEMPTS": "none"}
    found = faults_of(None, environ, Path("/nonexistent"))
    assert found[given.lower().replace("__", ".")].endswith(hint)


def test_a_key_of_no_section_is_told_a_few_like_it_and_where_all_are() -> None:
    hint = faults_of(None, {"LEADENRICH_FOO__BAR": "5"}, Path("/nonexistent"))["foo.bar"]
    assert hint.count(",") == 3, hint
    assert hint.endswith("; `leadenrich check` lists all, config.example.toml explains them")


def test_of_a_file_that_cannot_be_read_only_that_is_said(write) -> None:
    """What its settings would have to fit is beside the point."""
    path = write("[server\n")
    loaded, faults = read(path, {"LEADENRICH_SERVER__METRICS": "token"})
    assert [fault.key for fault in faults] == [str(path)]
    assert not loaded.whole
    assert read(write(""), {})[0].whole


def test_a_faulty_key_leaves_the_rest_understood(write) -> None:
    path = write('[server]\nport = "x"\nhost = "0.0.0.0"\n[[ghl.locations]]\nid = 5\n[[ghl.locations]]\nid = "a"\n')
    loaded, faults = read(path, {})
    assert [fault.key for fault in faults] == ["server.port", "ghl.locations[0].id"]
    assert (loaded.config.server.host, loaded.config.server.port) == ("0.0.0.0", 8080)
    assert [location.id for location in loaded.config.ghl.locations] == ["a"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"[server]\nport = \n", "at line 2, column 8"),
        (b"[server]\nhost = \xff\n", "is not UTF-8 (byte 17)"),
        (b"a = " + b"[" * 5000, "nested too deeply"),
    ],
)
def test_a_file_that_cannot_be_parsed_says_where(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    assert says in faults_of(path)[str(path)]


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xef\xbb\xbf[server]\nport = 1\n")
    assert load(path, {}).config.server.port == 1


def test_a_file_that_may_not_be_read_is_not_skipped(tmp_path: Path) -> None:
    (tmp_path / "config.toml").mkdir()
    assert "Is a directory" in faults_of(None, {}, tmp_path)[str(tmp_path / "config.toml")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_closed_file_is_a_fault(write) -> None:
    path = write("")
    path.chmod(0)
    assert "Permission denied" in faults_of(path)[str(path)]


@pytest.mark.parametrize(
    "text",
    [
        f'[server]\nadmin_token = ["{HIDDEN}"]',
        f'[server]\nadmin_token = "{HIDDEN} "',
        f'[redis]\nurl = "http://user:{HIDDEN}@host"',
        f'[redis]\nurl = ["redis://:{HIDDEN}@host"]',
        f'[ghl]\nbase_url = "https://user:{HIDDEN}@host"',
        f'[[ghl.locations]]\nid = "a"\ntokn = "{HIDDEN}"',
        f'[ghl]\nwebhook_token = {{ a = "{HIDDEN}" }}',
    ],
)
def test_no_fault_tells_a_secret(write, text: str) -> None:
    path = write(text)
    with pytest.raises(ConfigFaults) as wrong:
        load(path, {})
    assert HIDDEN not in str(wrong.value)


def test_settings_that_do_not_fit_each_other(write) -> None:
    path = write(
        """
        [server]
        host = "127.0.0.1:80"
        admin_token = "same"
        viewer_token = "same"
        [redis]
        url = "http://x"
        [worker]
        name = "a b"
        listen = "9100"
        [realestateapi]
        base_url = "http://api.example.com"
        api_key = "with blank"
        [ghl]
        base_url = "https://10.0.0.1"
        trigger_tags = ["go", "qualified", "DQ_BANK_OWNED", " "]
        [[ghl.locations]]
        id = "a"
        [[ghl.locations]]
        id = "a"
        [[rules]]
        code = "B"
        [[rules]]
        code = "B"
        """
    )
    found = [(fault.key, fault.message) for fault in read(path, {})[1]]
    assert {key for key, _ in found} == {
        "server.host",
        "server.viewer_token",
        "redis.url",
        "worker.name",
        "worker.listen",
        "realestateapi.base_url",
        "realestateapi.api_key",
        "ghl.base_url",
        "ghl.trigger_tags",
        "ghl.locations",
        "rules",
    }
    assert [message.partition(",")[0] for key, message in found if key == "ghl.trigger_tags"] == [
        "holds qualified",
        "holds DQ_BANK_OWNED",
        "holds an empty tag",
    ]


def test_metrics_by_token_need_a_token(write) -> None:
    assert "neither" in faults_of(write('[server]\nmetrics = "token"'))["server.metrics"]


def test_only_ed25519_public_keys_verify_webhooks() -> None:
    ours = Ed25519PrivateKey.generate()
    private = ours.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = ours.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    rsa = generate_private_key(65537, 2048).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    nowhere = Path("/nonexistent")
    assert load(None, {"LEADENRICH_GHL__PUBLIC_KEYS": public}, cwd=nowhere).config.ghl.public_keys == (public.strip(),)
    for pem, says in ((private, "private key"), (rsa.decode(), "RSA"), ("x", "not a public key")):
        found = faults_of(None, {"LEADENRICH_GHL__PUBLIC_KEYS": pem}, nowhere)["ghl.public_keys[0]"]
        assert says in found
        assert pem.splitlines()[-2:][0] not in found or pem == "x"


def test_a_worker_needs_a_key_and_a_location_with_its_token() -> None:
    with pytest.raises(ConfigFaults) as wrong:
        require_worker(Config())
    assert [fault.key for fault in wrong.value.faults] == ["realestateapi.api_key", "ghl.locations"]
    environ = {"LEADENRICH_REALESTATEAPI__API_KEY": "k", "LEADENRICH_GHL__LOCATIONS": "a"}
    with pytest.raises(ConfigFaults, match=r"ghl\.locations\[0\]\.token"):
        require_worker(load(None, environ, cwd=Path("/nonexistent")).config)
    require_worker(load(None, environ | {"LEADENRICH_GHL__LOCATIONS": "a=t"}, cwd=Path("/nonexistent")).config)


def test_a_rule_may_hold_a_date_with_or_without_quotes(write) -> None:
    for spelled in ("2023-01-01", '"2023-01-01"'):
        path = write(f'[[rules]]\ncode = "RECENT_SALE"\nparams = {{ on_or_after = {spelled} }}\n')
        loaded = load(path, {})
        assert loaded.config.rules[0].params == {"on_or_after": "2023-01-01"}
        assert ("rules[0].params", '{"on_or_after":"2023-01-01"}') in [(row.key, row.value) for row in outline(loaded)]
