/** The application's own connection. */
import { LiveSocket, type SocketLike } from './socket'

function openBrowserSocket(): SocketLike {
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws'
  return new WebSocket(`${scheme}://${location.host}/ws/`) as unknown as SocketLike
}

export const live = new LiveSocket({ open: openBrowserSocket })
