import subprocess, urllib.request
SERVICE = "openclaw-gateway.service"
try:
    urllib.request.urlopen("http://127.0.0.1:18789/health", timeout=5)
except OSError:
    subprocess.run(["systemctl", "--user", "restart", SERVICE])
