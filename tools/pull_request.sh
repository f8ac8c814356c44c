#!/usr/bin/env bash
# What action.yml runs: the counts of SPEC here and at BASE, their difference as a comment, and the budgets of MAX.
# It reads SPEC, CONVENTION, MAX (one budget a line), BASE (a commit), NUMBER (of the pull request), REPOSITORY.
set -euo pipefail
found=$(mktemp -d)
trap 'rm -rf "$found"; git worktree remove --force "$found/base" 2>/dev/null || true' EXIT

addercost profile "$SPEC" --convention "$CONVENTION" --format json -o "$found/head.json"

if [ -n "${BASE:-}" ]; then
    git fetch --quiet --depth 1 origin "$BASE" 2>/dev/null || true
    git worktree add --quiet --detach "$found/base" "$BASE"
    comment="$found/comment.md"
    echo "**What \`$SPEC\` computes**, convention $CONVENTION, against the base of this pull request" > "$comment"
    echo >> "$comment"
    if (cd "$found/base" && addercost profile "$SPEC" --convention "$CONVENTION" --format json -o "$found/base.json"); then
        addercost diff "$found/base.json" "$found/head.json" --format markdown >> "$comment"
    else
        echo "The base has no such model, or it cannot be profiled there." >> "$comment"
    fi
    cat "$comment" >> "${GITHUB_STEP_SUMMARY:-/dev/null}"
    if [ -n "${NUMBER:-}" ] && command -v gh > /dev/null; then
        gh pr comment "$NUMBER" --repo "$REPOSITORY" --body-file "$comment" --edit-last --create-if-none
    fi
fi

budgets=()
while IFS= read -r budget; do
    [ -z "$budget" ] || budgets+=(--max "$budget")
done <<< "${MAX:-}"
if [ ${#budgets[@]} -gt 0 ]; then
    addercost check "$SPEC" --convention "$CONVENTION" --format github "${budgets[@]}"
fi
