// Checks custom resources (JSON on stdin: a list) by the validators of @kubernetes-models; prints a list of problems.
//   node custom_resources.mjs <node_modules>
// The validators pass over fields that they do not know. They read every field that they do know, whether it is there or
// not, so an object of which something was read, and a field that was not, has a field too many.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const PACKAGES = {
  "monitoring.coreos.com": "prometheus-operator",
  "keda.sh": "keda",
  "cert-manager.io": "cert-manager",
  "gateway.networking.k8s.io": "gateway-api",
  "external-secrets.io": "external-secrets",
  "postgresql.cnpg.io": "cloudnative-pg",
};
const TOP = new Set(["apiVersion", "kind", "metadata", "spec"]);
const modules = process.argv[2];
const problems = [];

function watched(value, path, seen) {
  if (value === null || typeof value !== "object") return value;
  const asked = new Set();
  const inner = new Map(Object.entries(value).map(([key, child]) => [key, watched(child, `${path}.${key}`, seen)]));
  if (!Array.isArray(value)) seen.push({ path, asked, keys: Object.keys(value) });
  return new Proxy(value, {
    get(target, key) {
      asked.add(key);
      return inner.has(key) ? inner.get(key) : target[key];
    },
  });
}

for (const resource of JSON.parse(readFileSync(0, "utf8"))) {
  const [group, version] = resource.apiVersion.split("/");
  const name = `${resource.kind}/${resource.metadata.name}`;
  const folder = PACKAGES[group];
  if (folder === undefined) {
    problems.push(`${name}: no schema of ${resource.apiVersion}`);
    continue;
  }
  const file = `${modules}/@kubernetes-models/${folder}/${group}/${version}/${resource.kind}.js`;
  const Model = (await import(pathToFileURL(file).href))[resource.kind];
  for (const key of Object.keys(resource)) if (!TOP.has(key)) problems.push(`${name}: unknown field ${key}`);
  const seen = [];
  const { apiVersion, kind, metadata, ...rest } = resource;
  try {
    const model = new Model({ metadata }); // a copy; what is watched has to stay what it is
    for (const [key, value] of Object.entries(rest)) model[key] = watched(value, key, seen);
    model.validate();
  } catch (error) {
    problems.push(`${name}: ${error.message}`);
  }
  for (const { path, asked, keys } of seen) {
    if (asked.size === 0) continue; // anything may be in it
    for (const key of keys) if (!asked.has(key)) problems.push(`${name}: unknown field ${path}.${key}`);
  }
}
console.log(JSON.stringify(problems));
