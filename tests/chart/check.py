"""Checks deploy/helm/pinrail and deploy/compose.yaml: see ./run."""

import copy
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import jsonschema
import kubernetes_validate
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/helm/pinrail"
# The oldest Kubernetes that the chart takes, and a later one.
VERSIONS = ["1.30", "1.34"]
RENDER = sys.argv[1]

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
EVERYTHING = {
    "replicas": 5,
    "image": {"repository": "example.com/pinrail", "digest": "sha256:" + "0" * 64},
    "imagePullSecrets": [{"name": "pull"}],
    "store": {"existingSecret": "db", "urlKey": "url"},
    "migrations": {"existingSecret": "db-owner", "urlKey": "owner-url", "grantTo": "pinrail_app"},
    "config": '[providers.openai]\nbase_url = "https://api.example.com/v1"\nkey_env = "OPENAI_KEY"\n',
    "env": [{"name": "OPENAI_KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "openai"}}}],
    "envFrom": [{"secretRef": {"name": "more"}}],
    "extraArgs": ["--quiet: yes"],
    "persistence": {"storageClass": "fast"},
    "service": {"annotations": {"a.example.com/b": "c"}},
    "ingress": {"enabled": True, "className": "nginx", "hosts": ["a.example.com", "b.example.com"],
                "annotations": {"nginx.ingress.kubernetes.io/proxy-buffering": "off"},
                "tls": [{"secretName": "tls", "hosts": ["a.example.com"]}]},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"},
                       "bearerTokenSecret": {"name": "metrics", "key": "token"}},
    "networkPolicy": {"enabled": True, "from": [{"namespaceSelector": {}}],
                      "egress": [{"ports": [{"port": 5432, "protocol": "TCP"}]}]},
    "serviceAccount": {"annotations": {"x": "y"}},
    "podAnnotations": {"p": "q"}, "podLabels": {"team": "ops"},
    "nodeSelector": {"disk": "ssd"}, "tolerations": [{"operator": "Exists"}], "priorityClassName": "high",
    "antiAffinity": "required", "routeBy": "everything",
}
NOTHING = {
    "replicas": 1, "fullnameOverride": "short",
    "migrations": {"enabled": False}, "persistence": {"enabled": False}, "podDisruptionBudget": {"enabled": False},
    "serviceAccount": {"create": False}, "antiAffinity": "none", "topologySpread": False, "preStopSleepSeconds": 0,
}
REFUSED = {
    "no replicas": {"replicas": 0},
    "a misspelt value": {"replica": 3},
    "a misspelt value inside": {"store": {"existingSecrets": "x"}},
    "no store": {"store": {"existingSecret": ""}},
    "a size without a unit that exists": {"persistence": {"size": "2 GB"}},
    "a digest that is none": {"image": {"digest": "latest"}},
    "an unknown way to route": {"routeBy": "everybody"},
    "an unknown service": {"service": {"type": "Magic"}},
}

faults = []


def merged(over, base=VALUES):
    """As Helm merges: maps by key, all else as a whole."""
    out = copy.deepcopy(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = merged(value, out[key]) if both else copy.deepcopy(value)
    return out


def check(claim, holds, why=""):
    print(f"{'ok    ' if holds else 'FAILED'} {claim}{'' if holds else ': ' + str(why)}")
    if not holds:
        faults.append(claim)


def render(values, install=True):
    release = {"Name": "pr", "Namespace": "agents", "Service": "Helm", "IsInstall": install, "IsUpgrade": not install}
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for name, value in (("values", values), ("release", release)):
            files.append(pathlib.Path(folder) / f"{name}.json")
            files[-1].write_text(json.dumps(value))
        done = subprocess.run([RENDER, CHART, *files], capture_output=True, text=True)
    if done.returncode != 0:
        raise ValueError(done.stderr.strip())
    return json.loads(done.stdout)


def objects(rendered):
    """Every Kubernetes object, strictly parsed: a key that comes twice is a mistake."""
    for name, text in sorted(rendered.items()):
        if name.endswith(".yaml"):
            for found in yaml.load_all(text, Loader=Strict):
                if found is not None:
                    yield name, found


class Strict(yaml.SafeLoader):
    pass


def strict_map(loader, node, deep=False):
    keys = [key.value for key, _ in node.value]
    twice = {key for key in keys if keys.count(key) > 1}
    if twice:
        raise yaml.YAMLError(f"twice in one map at {node.start_mark}: {twice}")
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, strict_map)


def looked_at(claim, over, kinds):
    values = merged(over)
    try:
        jsonschema.validate(values, SCHEMA)
        found = list(objects(render(values)))
    except (ValueError, jsonschema.ValidationError, yaml.YAMLError) as error:
        check(claim, False, error)
        return {}
    wrong = []
    for name, made in found:
        if made["apiVersion"].startswith("monitoring.coreos.com/"):
            continue
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(made, version, strict=True)
            except Exception as error:  # noqa: BLE001: each of the library's own kinds is a fault of the chart
                wrong.append(f"{name} on {version}: {getattr(error, 'message', error)}")
    check(f"{claim}: {len(found)} objects are what Kubernetes {' and '.join(VERSIONS)} take", not wrong, wrong)
    got = sorted(made["kind"] for _, made in found)
    check(f"{claim}: they are these", got == sorted(kinds), got)
    return {(made["kind"], made["metadata"]["name"]): made for _, made in found}


def hardened(pod, container):
    context = {**pod["securityContext"], **container["securityContext"]}
    return (context["runAsNonRoot"] and context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
            and context["capabilities"]["drop"] == ["ALL"] and context["seccompProfile"]["type"] == "RuntimeDefault"
            and pod["automountServiceAccountToken"] is False and context["runAsUser"] > 0)


def selects(selector, labels):
    return all(labels.get(key) == value for key, value in selector.items())


def looks_whole(made, route="/readyz?for=calls"):
    """What no schema says: names and labels of one object that another relies on."""
    stateful = made["StatefulSet", "pr-pinrail"]
    pod = stateful["spec"]["template"]
    labels = pod["metadata"]["labels"]
    container = pod["spec"]["containers"][0]
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"] for volume in pod["spec"].get("volumes", [])}
    volumes |= {claim["metadata"]["name"] for claim in stateful["spec"].get("volumeClaimTemplates", [])}
    check("every mount has a volume, and every volume a mount", mounts == volumes, (mounts, volumes))
    check("the set selects its pods", selects(stateful["spec"]["selector"]["matchLabels"], labels))
    for (kind, name), found in made.items():
        spec = found.get("spec", {})
        if kind == "Service":
            check(f"the service {name} selects the pods", selects(spec["selector"], labels))
            named = {port["name"] for port in container["ports"]}
            check(f"the service {name} leads to a port", all(port["targetPort"] in named for port in spec["ports"]))
        if kind == "PodDisruptionBudget":
            check("the budget selects the pods", selects(spec["selector"]["matchLabels"], labels))
        if kind == "NetworkPolicy":
            check("the policy selects the pods", selects(spec["podSelector"]["matchLabels"], labels))
        if kind == "ServiceMonitor":
            chosen = [m for (k, _), m in made.items()
                      if k == "Service" and selects(spec["selector"]["matchLabels"], m["metadata"]["labels"])]
            check("the monitor finds each replica once", len(chosen) == 1, chosen)
        if kind == "Ingress":
            backends = {path["backend"]["service"]["name"] for rule in spec["rules"] for path in rule["http"]["paths"]}
            check("the ingress leads to a service", all(("Service", name) in made for name in backends))
        if kind == "Job":
            hooks = found["metadata"]["annotations"]["helm.sh/hook"]
            check("the migration runs before installations and upgrades", hooks == "pre-install,pre-upgrade", hooks)
            check("the migration's pod is hardened", hardened(spec["template"]["spec"], spec["template"]["spec"]["containers"][0]))
            check("no service takes the migration's pod for a replica",
                  not selects(made["Service", "pr-pinrail"]["spec"]["selector"], spec["template"]["metadata"]["labels"]))
    check("the set's service exists", ("Service", stateful["spec"]["serviceName"]) in made)
    check("the replicas' pods are hardened", hardened(pod["spec"], container))
    asked = container["readinessProbe"]["httpGet"]["path"]
    check("traffic follows what is to be routed", asked == route, asked)
    sources = {entry["name"]: entry.get("valueFrom", {}) for entry in container["env"]}
    check("secrets come from a Secret", all("secretKeyRef" in sources[name] for name in ("PINRAIL_STORE", "PINRAIL_SESSION_SECRET")))
    grace, sleep = pod["spec"]["terminationGracePeriodSeconds"], container.get("lifecycle", {}).get("preStop", {})
    check("there is time to drain after the wait", grace >= sleep.get("sleep", {}).get("seconds", 0) + 30 + 10, grace)


def paths(value, before=()):
    for key, inner in value.items():
        yield (*before, key)
        if isinstance(inner, dict):
            yield from paths(inner, (*before, key))


def values_are_known():
    """Every value that a template names is in values.yaml, and every one in values.yaml is described and used."""
    text = "\n".join(file.read_text() for file in sorted((CHART / "templates").rglob("*.*")))
    used = {tuple(name.split(".")) for name in re.findall(r"\.Values\.([A-Za-z0-9_.]+)", text)}
    known = set(paths(VALUES))
    check("templates name no value that isn't in values.yaml", used <= known, sorted(used - known))
    idle = {path for path in known if not any(path[: len(u)] == u or u[: len(path)] == path for u in used)}
    check("no value is idle", not idle, sorted(idle))
    undescribed = []
    for path in known:
        schema = SCHEMA
        for key in path:
            if "properties" not in schema:
                break
            schema = schema["properties"].get(key)
            if schema is None:
                undescribed.append(path)
                break
    check("the schema describes every value", not undescribed, sorted(undescribed))


def agrees_with_helm():
    if not shutil.which("helm"):
        print("-      helm isn't here: nothing to compare with")
        return
    for claim, over in (("default", {}), ("everything", EVERYTHING), ("nothing", NOTHING)):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(json.dumps(over))
            file.flush()
            said = subprocess.run(["helm", "template", "pr", CHART, "-n", "agents", "-f", file.name],
                                  capture_output=True, text=True, check=True).stdout
        key = lambda made: (made["kind"], made["metadata"]["name"])  # noqa: E731
        theirs = sorted((found for found in yaml.safe_load_all(said) if found), key=key)
        ours = sorted((found for _, found in objects(render(merged(over)))), key=key)
        check(f"helm renders the same: {claim}", theirs == ours)


def compose_holds():
    file = yaml.load((ROOT / "deploy/compose.yaml").read_text(), Loader=Strict)
    services, volumes = file["services"], set(file["volumes"])
    replicas = [name for name in services if re.fullmatch(r"pinrail-\d", name)]
    check("compose has three replicas", len(replicas) == 3, replicas)
    for name, service in services.items():
        waits = service.get("depends_on", {})
        check(f"compose: {name} waits for what exists", set(waits) <= set(services), waits)
        healthy = [on for on, how in waits.items() if how["condition"] == "service_healthy"]
        check(f"compose: {name} waits for what has a health check",
              all("healthcheck" in services[on] for on in healthy), healthy)
        mounts = {mount.split(":")[0] for mount in service.get("volumes", []) if not mount.startswith((".", "/"))}
        check(f"compose: {name} mounts volumes that exist", mounts <= volumes, mounts)
        for mount in service.get("volumes", []):
            if mount.startswith("."):
                check(f"compose: {mount} is there", (ROOT / "deploy" / mount.split(":")[0]).exists())
    balancer = (ROOT / "deploy/nginx.conf").read_text()
    check("the balancer knows every replica", all(f"server {name}:7070" in balancer for name in replicas))


def main():
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    values_are_known()
    usual = ["StatefulSet", "Service", "Service", "ServiceAccount", "PodDisruptionBudget", "Job", "Pod"]
    looks_whole(looked_at("default values", {}, usual))
    looks_whole(looked_at("everything on", EVERYTHING, usual + ["ConfigMap", "Ingress", "ServiceMonitor", "NetworkPolicy"]),
                route="/readyz")
    looked_at("everything off", NOTHING, ["StatefulSet", "Service", "Service", "Pod"])
    for claim, over in REFUSED.items():
        try:
            jsonschema.validate(merged(over), SCHEMA)
            check(f"{claim} is refused", False)
        except jsonschema.ValidationError:
            check(f"{claim} is refused", True)
    notes = render(merged({}))["templates/NOTES.txt"]
    check("the notes say how to make the first key", "--offline" in notes and "pinrail:0.1.0" in notes, notes)
    check("an upgrade's notes don't", "--offline" not in render(merged({}), install=False)["templates/NOTES.txt"])
    overrides = re.search(r"--overrides='(.*)'", notes)
    check("the notes' command is JSON", bool(overrides and json.loads(overrides[1])))
    agrees_with_helm()
    compose_holds()
    print(f"{len(faults)} failed")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
