"""An MCP server with one tool, over streamable HTTP: `tools.py PORT`."""

import sys

from mcp.server.fastmcp import FastMCP

server = FastMCP("tools", host="127.0.0.1", port=int(sys.argv[1]))


@server.tool()
def boiling_point(celsius: bool = True) -> str:
    """The boiling point of polyjuice."""
    return "-100 degrees Celsius" if celsius else "-148 degrees Fahrenheit"


server.run(transport="streamable-http")
