/** Finds the processes of an instance, from /proc where there is one and from `ps` elsewhere. */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'

interface Row {
  pid: number
  parent: number
  command: string
}

function fromProc(): Row[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
        const parent = Number(stat.slice(stat.lastIndexOf(')') + 1).trim().split(' ')[1])
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ')
        return [{ pid: Number(name), parent, command }]
      } catch {
        return [] // it ended while we were looking
      }
    })
}

function fromPs(): Row[] {
  return execFileSync('ps', ['-A', '-o', 'pid=,ppid=,command='], { encoding: 'utf8' })
    .split('\n')
    .flatMap((line) => {
      const [, pid, parent, command] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? []
      return pid ? [{ pid: Number(pid), parent: Number(parent), command }] : []
    })
}

/** The eldest descendant of `root` whose command line holds `mark`; null when there is none. */
export function findDescendant(root: number, mark: string): number | null {
  const table = existsSync('/proc/self/stat') ? fromProc() : fromPs()
  const family = new Set([root])
  for (let size = 0; size !== family.size; ) {
    size = family.size
    table.filter((row) => family.has(row.parent)).forEach((row) => family.add(row.pid))
  }
  const found = table.filter((row) => family.has(row.pid) && row.pid !== root && row.command.includes(mark))
  return found.map((row) => row.pid).sort((a, b) => a - b)[0] ?? null
}
