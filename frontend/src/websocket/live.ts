/** The application's own connection. */
import { openBrowserSocket } from './connection'
import { LiveSocket } from './socket'

export const live = new LiveSocket({ open: () => openBrowserSocket('/ws/') })
