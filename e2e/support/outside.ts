/** A server of this machine that stands for the outside: speaks OpenAI's protocol, takes alerts in. */
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'

export interface Outside {
  /** `http://127.0.0.1:…` */
  url: string
  /** The messages of alerts that arrived, oldest first. */
  alerts: string[]
  close: () => Promise<void>
}

interface Completion {
  stream?: boolean
  messages: { role: string; content: string }[]
}

/** A model that halves the size of the strategy it is shown; its first try calls a name that does not exist. */
function answerTo({ messages }: Completion): string {
  const asked = messages.map((one) => one.content)
  const code = /```python\n([\s\S]*?)```/.exec(asked.find((text) => text.startsWith('Code actuel')) ?? '')?.[1] ?? ''
  const mended = asked.at(-1)?.includes('ne passe pas') ?? false
  const changed = code.replace('self.balance * 0.5', mended ? 'self.balance * 0.25' : 'self.solde * 0.25')
  return `Je divise la taille par deux : <b>un quart</b> du solde.\n\n\`\`\`python\n${changed}\`\`\`\n`
}

/** The same answer in pieces, as providers stream it. */
function streamed(text: string): string[] {
  const event = (choice: object): string => `data: ${JSON.stringify({ choices: [{ index: 0, ...choice }] })}\n\n`
  const pieces = text.match(/[\s\S]{1,40}/g) ?? []
  return [...pieces.map((content) => event({ delta: { content } })), event({ delta: {}, finish_reason: 'stop' }), 'data: [DONE]\n\n']
}

const MODELS = { object: 'list', data: [{ id: 'llama3:8b' }, { id: 'mistral:7b' }] }
const ANSWER = { choices: [{ message: { role: 'assistant', content: 'prêt' } }] }

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

/** Listens on a free port until it is closed. */
export async function startOutside(): Promise<Outside> {
  const alerts: string[] = []
  const server = createServer((request, response) => {
    void bodyOf(request).then((text) => {
      const path = request.url ?? ''
      if (path === '/v1/chat/completions' && (JSON.parse(text) as Completion).stream) {
        response.writeHead(200, { 'Content-Type': 'text/event-stream' })
        for (const piece of streamed(answerTo(JSON.parse(text) as Completion))) response.write(piece)
        response.end()
        return
      }
      if (path === '/alerte') alerts.push((JSON.parse(text) as { message: string }).message)
      const known: Record<string, unknown> = { '/v1/models': MODELS, '/v1/chat/completions': ANSWER, '/alerte': {} }
      response.writeHead(path in known ? 200 : 404, { 'Content-Type': 'application/json' })
      response.end(JSON.stringify(known[path] ?? { error: 'not found' }))
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    alerts,
    close: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close').catch(() => undefined)
    },
  }
}
