# SPDX-License-Identifier: LGPL-2.1-or-later
"""Dumps that lie: damage is laid into opened dumps, and commands must not mind.

``scripts/hostile`` runs many seeds; ``tests/test_hostile.py`` some of them. The same seed makes
the same damage again.
"""
