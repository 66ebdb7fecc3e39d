// The official packages for Node against the stand-in: five cases each, the outcomes as JSON.
// Read from the standard input: the addresses, the names, and a credential for each case.
import { readFileSync } from "node:fs";
import Core from "@alicloud/pop-core";
import OpenApi from "@alicloud/openapi-client";
import TeaUtil from "@alicloud/tea-util";
import OSS from "ali-oss";

const { oss, rpc, bucket, roleName, trustPolicy, keys } = JSON.parse(readFileSync(0));
const ram = "2015-05-01";
const role = { RoleName: "New", AssumeRolePolicyDocument: trustPolicy };

const aliOss = (authorizationV4) => (key) => {
  const endpoint = { endpoint: oss, region: "oss-cn-hangzhou", authorizationV4 };
  const refresh = { refreshSTSToken: async () => key, refreshSTSTokenInterval: 3_600_000 };
  const client = new OSS({ ...key, stsToken: key.securityToken, bucket, ...endpoint, ...refresh });
  return {
    list: async () => (await client.listV2({}, {})).objects.map((object) => object.name),
    get: async () => (await client.get("ramroletest.txt")).content.toString(),
    put: () => client.put("new", Buffer.from("x")),
  };
};

const popCore = (key) => {
  const client = new Core({ ...key, endpoint: rpc, apiVersion: ram });
  return ramActions((action, parameters) => client.request(action, parameters));
};

const openApi = (key) => {
  const client = new OpenApi.default({ ...key, endpoint: rpc.replace("https://", "") });
  const form = { version: ram, protocol: "HTTPS", pathname: "/", method: "POST", style: "RPC" };
  const params = { ...form, authType: "AK", reqBodyType: "formData", bodyType: "json" };
  const call = (action, query) =>
    client.callApi({ ...params, action }, { query }, new TeaUtil.RuntimeOptions({}));
  return ramActions(async (action, parameters) => (await call(action, parameters)).body);
};

const ramActions = (call) => ({
  list: async () => (await call("ListRoles", {})).Roles.Role.map((each) => each.RoleName),
  get: async () => (await call("GetRole", { RoleName: roleName })).Role.RoleName,
  put: () => call("CreateRole", role),
});

const clients = {
  "ali-oss-V1": aliOss(false),
  "ali-oss-V4": aliOss(true),
  "pop-core": popCore,
  "openapi-client": openApi,
};

const outcome = async (client, name) => {
  const actions = client(keys[name]);
  const action = { get: "get", "put denied": "put" }[name] ?? "list";
  try {
    return await actions[action]();
  } catch (error) {
    const status = error.status ?? error.entry?.response.statusCode ?? error.data?.statusCode;
    return `${status} ${error.code}`;
  }
};

const outcomes = {};
for (const [name, client] of Object.entries(clients)) {
  outcomes[name] = {};
  for (const each of Object.keys(keys)) outcomes[name][each] = await outcome(client, each);
}
console.log(JSON.stringify(outcomes));
process.exit();
