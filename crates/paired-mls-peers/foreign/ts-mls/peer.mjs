// A member of a group on ts-mls. It reads requests and writes answers: one JSON object a line, bytes in
// hexadecimal. `../../src/foreign/mod.rs` is the other side.
import { createInterface } from "node:readline"
import {
  acceptAll,
  createApplicationMessage,
  createCommit,
  createGroup,
  decodeMlsMessage,
  defaultCapabilities,
  emptyPskIndex,
  encodeMlsMessage,
  generateKeyPackage,
  generateKeyPackageWithKey,
  getCiphersuiteFromName,
  getCiphersuiteImpl,
  joinGroup,
  processMessage,
} from "ts-mls"

const SUITES = {
  1: "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519",
  2: "MLS_128_DHKEMP256_AES128GCM_SHA256_P256",
  3: "MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519",
}
const DAY = 24n * 60n * 60n

const hex = (bytes) => Buffer.from(bytes).toString("hex")
const bytes = (text) => new Uint8Array(Buffer.from(text, "hex"))
const encode = (wireformat, field, value) =>
  hex(encodeMlsMessage({ version: "mls10", wireformat, [field]: value }))

const decode = (text) => {
  const message = bytes(text)
  const decoded = decodeMlsMessage(message, 0)
  if (decoded === undefined || decoded[1] !== message.length) throw new Error("this is no MLSMessage")
  return decoded[0]
}

let suite, wireAsPublicMessage, identity, signatureKeys, mine, state, pending

const actions = {
  async new(asked) {
    if (!(asked.suite in SUITES)) throw new Error(`suite ${asked.suite} is not offered`)
    suite = await getCiphersuiteImpl(getCiphersuiteFromName(SUITES[asked.suite]))
    wireAsPublicMessage = asked.framing === "public"
    identity = new TextEncoder().encode(asked.identity)
    return {}
  },

  async key_package() {
    const now = BigInt(Math.floor(Date.now() / 1000))
    const lifetime = { notBefore: now - 60n * 60n, notAfter: now + 84n * DAY }
    const credential = { credentialType: "basic", identity }
    // A member that comes back has the signature key that it had.
    const made = [credential, defaultCapabilities(), lifetime, []]
    mine =
      signatureKeys === undefined
        ? await generateKeyPackage(...made, suite)
        : await generateKeyPackageWithKey(...made, signatureKeys, suite)
    signatureKeys = {
      signKey: mine.privatePackage.signaturePrivateKey,
      publicKey: mine.publicPackage.leafNode.signaturePublicKey,
    }
    return { message: encode("mls_key_package", "keyPackage", mine.publicPackage) }
  },

  async create({ group_id }) {
    await actions.key_package()
    state = await createGroup(bytes(group_id), mine.publicPackage, mine.privatePackage, [], suite)
    return {}
  },

  async join({ message }) {
    const { wireformat, welcome } = decode(message)
    if (wireformat !== "mls_welcome") throw new Error("this is no Welcome")
    state = await joinGroup(welcome, mine.publicPackage, mine.privatePackage, emptyPskIndex, suite)
    return {}
  },

  async commit({ adds, removes }) {
    const add = (message) => ({ proposalType: "add", add: { keyPackage: decode(message).keyPackage } })
    const remove = (removed) => ({ proposalType: "remove", remove: { removed } })
    const extraProposals = [...adds.map(add), ...removes.map(remove)]
    const options = { wireAsPublicMessage, extraProposals, ratchetTreeExtension: true }
    const made = await createCommit({ state, cipherSuite: suite }, options)
    pending = made.newState
    const welcome = made.welcome && encode("mls_welcome", "welcome", made.welcome)
    return { commit: hex(encodeMlsMessage(made.commit)), welcome }
  },

  async confirm() {
    if (pending === undefined) throw new Error("no commit waits")
    state = pending
    pending = undefined
    return {}
  },

  async discard() {
    pending = undefined
    return {}
  },

  async process({ message }) {
    const decoded = decode(message)
    const before = state.groupContext.epoch
    const result = await processMessage(decoded, state, emptyPskIndex, acceptAll, suite)
    state = result.newState
    pending = undefined
    if (result.kind === "applicationMessage") return { heard: "application", message: hex(result.message) }
    return { heard: state.groupContext.epoch === before ? "proposal" : "commit" }
  },

  async send({ message }) {
    const sent = await createApplicationMessage(state, bytes(message), suite)
    state = sent.newState
    return { message: encode("mls_private_message", "privateMessage", sent.privateMessage) }
  },

  async status() {
    if (state === undefined) return { epoch: 0, epoch_authenticator: "" }
    const { groupContext, keySchedule } = state
    return {
      epoch: Number(groupContext.epoch),
      epoch_authenticator: hex(keySchedule.epochAuthenticator),
    }
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer
  try {
    const asked = JSON.parse(line)
    if (!Object.hasOwn(actions, asked.do)) throw new Error(`no such request: ${asked.do}`)
    answer = { done: await actions[asked.do](asked) }
  } catch (error) {
    answer = { refused: `${error.name}: ${error.message}` }
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
