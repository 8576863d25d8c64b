import t from 'tap'
import { parseAdminAddress } from '../../../src/cli/admin/client.js'

t.test('addresses', async (t) => {
  const good = {
    'localhost:8081': 'http://localhost:8081',
    '[::1]:8081': 'http://[::1]:8081',
    'http://git.example.com:81/': 'http://git.example.com:81',
    'https://git.example.com:81': 'https://git.example.com:81',
    'tls:127.0.0.1:1': 'https://127.0.0.1:1',
    '127.0.0.1:1,unix:/the/second': 'http://127.0.0.1:1',
    'unix:/run/refstream/admin.sock': 'unix:/run/refstream/admin.sock',
  }
  for (const [address, parsed] of Object.entries(good)) t.equal(parseAdminAddress(address), parsed)
  const bad = ['x', 'x:0', 'x:65536', 'https:x:1', 'http://x:1/y', "x';reboot;':1", 'unix:x', 'unix:/a\nb']
  for (const address of [...bad, `unix:/${'x'.repeat(107)}`]) {
    t.throws(() => parseAdminAddress(address), /HOST:PORT/, address)
  }
})
