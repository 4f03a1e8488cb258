%% Stands in for EMQX's: matching and shared subscriptions.
-module(emqx_topic).

-export([match/2, parse/1, maybe_format_share/1]).

match(<<$$, _/binary>>, <<First, _/binary>>) when First =:= $#; First =:= $+ -> false;
match(Topic, Filter) -> words(split(Topic), split(Filter)).

split(Topic) -> binary:split(Topic, <<"/">>, [global]).

words(_, [<<"#">>]) -> true;
words([_ | Topic], [<<"+">> | Filter]) -> words(Topic, Filter);
words([Word | Topic], [Word | Filter]) -> words(Topic, Filter);
words([], []) -> true;
words(_, _) -> false.

parse(<<"$share/", Rest/binary>>) ->
    [Group, Topic] = binary:split(Rest, <<"/">>),
    {{share, Group, Topic}, #{}};
parse(<<"$exclusive/", Topic/binary>>) ->
    {Topic, #{is_exclusive => true}};
parse(Topic) ->
    {Topic, #{}}.

maybe_format_share({share, Group, Topic}) -> <<"$share/", Group/binary, "/", Topic/binary>>;
maybe_format_share(Topic) -> Topic.
